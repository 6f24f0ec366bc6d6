"""What the methods text says of the statistics is what was done."""

import numpy as np
import pandas as pd
import pytest

from mrspipe.config import StudyConfig, load_config
from mrspipe.pipeline.words import correction_in_words, design_in_words, methods_of
from mrspipe.stats.contrasts import contrast_table
from mrspipe.stats.design import ContrastSettings, Design, StatsSettings

GROUP = {"group": {"control": "HC", "patient": "PAT"}}


def people(metabolites=("Glu",), seed=6):
    rng = np.random.default_rng(seed)
    rows = [
        {"participant_id": f"s{i}", "session_id": visit, "group": ("HC", "PAT")[i % 2], "metabolite": name,
         "quantity": "molar", "value": rng.normal(10, 1)}
        for i in range(12) for visit in ("1", "2") for name in metabolites
    ]  # fmt: skip
    return pd.DataFrame(rows)


def words_for(design, multiplicity, *, metabolites=("Glu",), contrasts=()):
    settings = StatsSettings(multiplicity=multiplicity)
    table = contrast_table(people(metabolites), design, contrasts, settings)
    return methods_of(StudyConfig(stats=settings), (), correction_in_words(table["multiplicity"]))


def cited(text):
    return {reference.key for reference in text.references} & {"Holm1979", "Westfall2001", "Benjamini1995"}


@pytest.mark.parametrize(
    ("multiplicity", "sentence", "reference"),
    [
        ("holm", "p values of the 3 main contrasts together adjusted by the method of Holm (Holm 1979)", "Holm1979"),
        ("fixed-sequence", "the 3 main contrasts tested in a fixed sequence, in which each counts as a finding only if "
         "all before it do (adjusted p: the largest so far) (Westfall and Krishen 2001)", "Westfall2001"),
    ],
)  # fmt: skip
def test_the_correction_that_was_used_is_named_and_cited_alone(multiplicity, sentence, reference):
    design = Design(**GROUP, time={"entity": "session", "levels": ["1", "2"]})
    main = [ContrastSettings(name=name) for name in ("patients-controls", "2-1", "group-by-2")]
    text = words_for(design, multiplicity, contrasts=main)
    assert sentence in text.paragraphs[-1]
    assert cited(text) == {reference}


def test_several_metabolites_are_corrected_by_false_discovery_rate():
    text = words_for(Design(**GROUP, secondary=["Glx", "tCr"]), "holm", metabolites=("Glu", "Glx", "tCr"))
    assert "by the method of Benjamini and Hochberg (Benjamini and Hochberg 1995)" in text.paragraphs[-1]
    assert cited(text) == {"Benjamini1995"}


def test_a_single_test_is_not_said_to_be_corrected():
    text = words_for(Design(**GROUP), "fixed-sequence")
    assert "fixed sequence" not in " ".join(text.paragraphs)
    assert words_for(Design(**GROUP), "holm").references == methods_of(StudyConfig(), ()).references


def test_arms_and_visits_are_in_the_words_of_the_design():
    design = Design(
        arm={"column": "trial_arm", "control": "placebo", "active": "riluzole"},
        time={"entity": "session", "levels": ["before", "during", "after"]},
    )
    said = design_in_words(design)
    assert said[0] == "Two parallel arms, each participant in one: riluzole against placebo (column trial_arm)."
    assert said[1] == "3 visits in the order of time: before, during, after."
    two = Design(time={"entity": "session", "levels": ["pre", "post"]})
    assert design_in_words(two)[0] == "Two visits: post against pre."


def test_the_sequence_of_the_study_is_that_of_its_plan():
    config = load_config("cocaine_nacc")
    main = [one.name for one in config.contrast if one.primary is not False][:3]
    assert main == ["patients-controls", "cue-baseline", "nac-placebo"]
    assert config.stats.multiplicity == "fixed-sequence"
