"""The methods paragraph of a paper, and its references, from what was really used.

Words go in and words come out: a step that did not run is not mentioned, and a method is cited only where it is named.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference. ``doi`` is empty where there is none to give."""

    key: str
    authors: str
    year: int
    title: str
    journal: str
    volume: str = ""
    pages: str = ""
    doi: str = ""

    @property
    def cited(self) -> str:
        """Author and year, as in a sentence."""
        first, *others = self.authors.split(" and ")
        name = first.split(",")[0]
        second = f" and {others[0].split(',')[0]}" if len(others) == 1 else " et al." if others else ""
        return f"{name}{second} {self.year}"

    @property
    def text(self) -> str:
        """One line for a list of references."""
        place = self.journal + (f" {self.volume}" if self.volume else "") + (f":{self.pages}" if self.pages else "")
        doi = f" doi {self.doi}" if self.doi else ""
        return f"{self.authors.replace(' and ', '; ')} ({self.year}). {self.title}. {place}.{doi}"


@dataclass(frozen=True, slots=True)
class MethodsText:
    """Paragraphs in plain words, and the references they cite in the order of their first mention."""

    paragraphs: tuple[str, ...]
    references: tuple[Reference, ...]


_MRM, _NBM = "Magnetic Resonance in Medicine", "NMR in Biomedicine"
_REFERENCES = (
    Reference("Lin2021", "Lin, A. and Andronesi, O. and Bogner, W. and others", 2021,
              "Minimum Reporting Standards for in vivo Magnetic Resonance Spectroscopy (MRSinMRS)", _NBM, "34",
              "e4484", "10.1002/nbm.4484"),
    Reference("Clarke2022", "Clarke, W. T. and Bell, T. K. and Emir, U. E. and others", 2022,
              "NIfTI-MRS: A standard data format for magnetic resonance spectroscopy", _MRM, "88", "2358-2370",
              "10.1002/mrm.29418"),
    Reference("Near2021", "Near, J. and Harris, A. D. and Juchem, C. and others", 2021,
              "Preprocessing, analysis and quantification in single-voxel magnetic resonance spectroscopy: experts' "
              "consensus recommendations", _NBM, "34", "e4257", "10.1002/nbm.4257"),
    Reference("Rodgers2010", "Rodgers, C. T. and Robson, M. D.", 2010,
              "Receive array magnetic resonance spectroscopy: Whitened singular value decomposition (WSVD) gives "
              "optimal Bayesian solution", _MRM, "63", "881-891", "10.1002/mrm.22230"),
    Reference("Hock2013", "Hock, A. and MacMillan, E. L. and Fuchs, A. and others", 2013,
              "Non-water-suppressed proton MR spectroscopy improves spectral quality in the human spinal cord", _MRM,
              "69", "1253-1260"),
    Reference("Near2015", "Near, J. and Edden, R. and Evans, C. J. and others", 2015,
              "Frequency and phase drift correction of magnetic resonance spectroscopy data by spectral registration "
              "in the time domain", _MRM, "73", "44-50", "10.1002/mrm.25094"),
    Reference("Klose1990", "Klose, U.", 1990, "In vivo proton spectroscopy in presence of eddy currents", _MRM, "14",
              "26-30", "10.1002/mrm.1910140104"),
    Reference("Barkhuijsen1987", "Barkhuijsen, H. and de Beer, R. and van Ormondt, D.", 1987,
              "Improved algorithm for noniterative time-domain model fitting to exponentially damped magnetic "
              "resonance signals", "Journal of Magnetic Resonance", "73", "553-557", "10.1016/0022-2364(87)90023-0"),
    Reference("Golub1973", "Golub, G. H. and Pereyra, V.", 1973,
              "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate",
              "SIAM Journal on Numerical Analysis", "10", "413-432", "10.1137/0710036"),
    Reference("Wilson2021", "Wilson, M.", 2021, "Adaptive baseline fitting for 1H MR spectroscopy analysis", _MRM,
              "85", "13-29", "10.1002/mrm.28385"),
    Reference("Gasparovic2006", "Gasparovic, C. and Song, T. and Devier, D. and others", 2006,
              "Use of tissue water as a concentration reference for proton spectroscopic imaging", _MRM, "55",
              "1219-1226", "10.1002/mrm.20901"),
    Reference("Harris2015", "Harris, A. D. and Puts, N. A. J. and Edden, R. A. E.", 2015,
              "Tissue correction for GABA-edited MRS: Considerations of voxel composition, tissue segmentation, and "
              "tissue relaxations", "Journal of Magnetic Resonance Imaging", "42", "1431-1440", "10.1002/jmri.24903"),
    Reference("Kreis2016", "Kreis, R.", 2016,
              "The trouble with quality filtering based on relative Cramér-Rao lower bounds", _MRM, "75", "15-18",
              "10.1002/mrm.25568"),
    Reference("Welch1947", "Welch, B. L.", 1947,
              "The generalization of 'Student's' problem when several different population variances are involved",
              "Biometrika", "34", "28-35", "10.1093/biomet/34.1-2.28"),
    Reference("Kenward1997", "Kenward, M. G. and Roger, J. H.", 1997,
              "Small sample inference for fixed effects from restricted maximum likelihood", "Biometrics", "53",
              "983-997", "10.2307/2533558"),
    Reference("Hedges1981", "Hedges, L. V.", 1981,
              "Distribution theory for Glass's estimator of effect size and related estimators",
              "Journal of Educational Statistics", "6", "107-128", "10.3102/10769986006002107"),
    Reference("Rouder2009", "Rouder, J. N. and Speckman, P. L. and Sun, D. and others", 2009,
              "Bayesian t tests for accepting and rejecting the null hypothesis", "Psychonomic Bulletin & Review",
              "16", "225-237", "10.3758/PBR.16.2.225"),
    Reference("Lakens2017", "Lakens, D.", 2017,
              "Equivalence tests: A practical primer for t tests, correlations, and meta-analyses",
              "Social Psychological and Personality Science", "8", "355-362", "10.1177/1948550617697177"),
    Reference("Holm1979", "Holm, S.", 1979, "A simple sequentially rejective multiple test procedure",
              "Scandinavian Journal of Statistics", "6", "65-70"),
    Reference("Westfall2001", "Westfall, P. H. and Krishen, A.", 2001,
              "Optimally weighted, fixed sequence and gatekeeper multiple testing procedures",
              "Journal of Statistical Planning and Inference", "99", "25-40", "10.1016/S0378-3758(01)00077-5"),
    Reference("Benjamini1995", "Benjamini, Y. and Hochberg, Y.", 1995,
              "Controlling the false discovery rate: a practical and powerful approach to multiple testing",
              "Journal of the Royal Statistical Society B", "57", "289-300", "10.1111/j.2517-6161.1995.tb02031.x"),
)  # fmt: skip
REFERENCES: Mapping[str, Reference] = {reference.key: reference for reference in _REFERENCES}

# Which words of a step or a model call for which reference.
_CITED_FOR: Mapping[str, str] = {
    r"coil": "Rodgers2010",
    r"cycl": "Hock2013",
    r"\balign|registration|drift": "Near2015",
    r"eddy": "Klose1990",
    r"hsvd|remov\w* \w*\s?water|water remov\w*|residual water": "Barkhuijsen1987",
    r"variable projection|varpro": "Golub1973",
    r"adaptive baseline|b-?spline|p-?spline": "Wilson2021",
    r"molal|molar|tissue water|csf": "Gasparovic2006",
    r"alpha": "Harris2015",
    r"cram[eé]r|crlb": "Kreis2016",
    r"welch": "Welch1947",
    r"kenward": "Kenward1997",
    r"hedges": "Hedges1981",
    r"bayes|\bbf01\b": "Rouder2009",
    r"\btost\b|equivalen": "Lakens2017",
    r"\bholm\b": "Holm1979",
    r"fixed sequence": "Westfall2001",
    r"\bfdr\b|benjamini": "Benjamini1995",
}


def methods_text(
    *,
    version: str,
    preprocessing: Sequence[str] = (),
    basis: str = "",
    fit: str = "",
    quantification: Sequence[str] = (),
    quality: str = "",
    statistics: Sequence[str] = (),
) -> MethodsText:
    """Write the methods of an analysis.

    Parameters
    ----------
    version : str
        Of mrspipe.
    preprocessing : sequence of str
        Names of the steps in their order: ``"combine_coils"``.
    basis, fit, quality : str
        Summaries of the basis set, of the fit and of the quality rule; empty is left out. The parts of the last two are
        separated by semicolons, so that each is cited where it stands.
    quantification : sequence of str
        Corrections that were applied.
    statistics : sequence of str
        Models and procedures of the group analysis.

    Returns
    -------
    MethodsText

    Examples
    --------
    >>> methods_text(version="1.0", statistics=["Welch t test"]).paragraphs[-1]
    'Statistics: Welch t test (Welch 1947).'
    """
    steps = [step.replace("_", " ") for step in preprocessing]
    paragraphs = [
        f"Spectra were analysed with mrspipe {version}, from NIfTI-MRS files ({REFERENCES['Clarke2022'].cited}), along "
        f"the lines of the experts' consensus ({REFERENCES['Near2021'].cited}). The acquisition is reported as "
        f"MRSinMRS asks ({REFERENCES['Lin2021'].cited})."
    ]
    used = ["Clarke2022", "Near2021", "Lin2021"]
    for opening, parts in (
        ("Preprocessing, in this order: ", steps),
        ("Basis set: ", [basis]),
        ("Fit: ", fit.split("; ")),
        ("Quantification: ", quantification),
        ("Quality: ", quality.split("; ")),
        ("Statistics: ", statistics),
    ):
        said = [_with_citations(part, used) for part in parts if part]
        if said:
            paragraphs.append(f"{opening}{'; '.join(said)}.".replace("..", "."))
    return MethodsText(tuple(paragraphs), tuple(REFERENCES[key] for key in used))


def _with_citations(part: str, used: list[str]) -> str:
    """Append who is to be cited for a part, and note it in ``used``; each is cited at its first mention."""
    keys = [key for pattern, key in _CITED_FOR.items() if re.search(pattern, part, re.IGNORECASE) and key not in used]
    used.extend(keys)
    cited = "; ".join(REFERENCES[key].cited for key in keys)
    stem = part.strip().rstrip(".")
    return f"{stem} ({cited})" if cited else stem


def methods_markdown(text: MethodsText) -> str:
    """Give the text of ``methods.md``."""
    references = "\n".join(f"- {_linked(reference)}" for reference in text.references)
    return "# Methods\n\n" + "\n\n".join(text.paragraphs) + f"\n\n## References\n\n{references}\n"


def references_bib(references: Sequence[Reference]) -> str:
    """Give the text of ``references.bib``."""
    return "\n".join(_bibtex(reference) for reference in references)


def _linked(reference: Reference) -> str:
    if not reference.doi:
        return reference.text
    return reference.text.replace(f"doi {reference.doi}", f"<https://doi.org/{reference.doi}>")


def _bibtex(reference: Reference) -> str:
    fields = {
        "author": reference.authors,
        "title": f"{{{reference.title}}}",
        "journal": reference.journal,
        "year": str(reference.year),
        "volume": reference.volume,
        "pages": reference.pages.replace("-", "--"),
        "doi": reference.doi,
    }
    lines = [f"  {name} = {{{_tex(text, name)}}}," for name, text in fields.items() if text]
    return "\n".join([f"@article{{{reference.key},", *lines, "}", ""])


def _tex(text: str, name: str) -> str:
    return text if name == "doi" else text.replace("&", r"\&")
