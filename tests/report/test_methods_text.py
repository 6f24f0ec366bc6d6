import re

from mrspipe.report.methods_text import REFERENCES, methods_markdown, methods_text, references_bib

FULL = methods_text(
    version="0.1.0",
    preprocessing=["combine_coils", "align", "eddy", "remove_water"],
    basis="simulated for PRESS, echo time 32 ms",
    fit="variable projection with a spline baseline (B-splines), 0.2 to 4.2 ppm",
    quantification=["tissue water", "relaxation of Glu"],
    quality="signal to noise at least 6.",
    statistics=["Welch t test", "mixed model, Kenward-Roger", "TOST"],
)


def _keys(text):
    return [reference.key for reference in text.references]


def test_what_ran_is_named_in_its_order():
    text = " ".join(FULL.paragraphs)
    assert re.search(r"combine coils .*align .*eddy .*remove water ", text)
    assert "mrspipe 0.1.0" in text
    assert "simulated for PRESS, echo time 32 ms." in text
    assert "signal to noise at least 6." in text


def test_what_did_not_run_is_not_mentioned():
    bare = methods_text(version="0.1.0")
    assert len(bare.paragraphs) == 1
    assert _keys(bare) == ["Clarke2022", "Near2021", "Lin2021"]


def test_each_method_is_cited_where_it_is_named_and_only_then():
    assert {"Rodgers2010", "Near2015", "Klose1990", "Barkhuijsen1987", "Golub1973", "Wilson2021", "Gasparovic2006",
            "Welch1947", "Kenward1997", "Lakens2017"} <= set(_keys(FULL))  # fmt: skip
    assert "Hock2013" not in _keys(FULL)
    assert "Rouder2009" not in _keys(FULL)
    for reference in FULL.references:
        assert reference.cited in " ".join(FULL.paragraphs)


def test_a_reference_is_listed_once():
    text = methods_text(version="1", preprocessing=["split_cycling", "reconstruct_cycling"])
    assert _keys(text).count("Hock2013") == 1


def test_the_markdown_links_every_doi():
    markdown = methods_markdown(FULL)
    for reference in FULL.references:
        if reference.doi:
            assert f"<https://doi.org/{reference.doi}>" in markdown


def test_the_bibliography_is_well_formed():
    bib = references_bib(tuple(REFERENCES.values()))
    entries = re.findall(r"@article\{(\w+),", bib)
    assert entries == list(REFERENCES)
    assert bib.count("{") == bib.count("}")
    assert "doi = {10.1002/nbm.4484}" in bib
    assert r"Psychonomic Bulletin \& Review" in bib


def test_dois_have_the_form_of_a_doi():
    assert all(re.fullmatch(r"10\.\d{4,}/\S+", reference.doi) for reference in REFERENCES.values() if reference.doi)


def test_a_reference_stands_at_the_part_that_it_is_for():
    text = methods_text(version="1", fit="variable projection; P-spline baseline; soft priors on ratios").paragraphs[-1]
    assert (
        text
        == "Fit: variable projection (Golub and Pereyra 1973); P-spline baseline (Wilson 2021); soft priors on ratios."
    )
