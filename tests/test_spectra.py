"""Spectra without a study, in a batch."""

import json
import sys
from pathlib import Path

import pytest
from brain_like import make_basis, make_signal

from mrspipe.cli.main import main
from mrspipe.config import StudyConfig, with_settings
from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import AnalysisError
from mrspipe.io.basis_files import write_basis
from mrspipe.io.nifti_mrs import write_signal
from mrspipe.io.tables import read_table
from mrspipe.pipeline.basis import simulate_to_file
from mrspipe.pipeline.nulled import add_macromolecules
from mrspipe.pipeline.spectra import BatchSummary, RawHeader, fit_files

AXIS = SpectralAxis(1024, 5e-4, 123.25e6, 4.65)
LONGER = SpectralAxis(1536, 4e-4, 123.25e6, 4.65)
N_SPECTRA = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A basis set and spectra, every second one of another sampling; no residual water."""
    folder = tmp_path_factory.mktemp("spectra")
    basis = make_basis(AXIS)
    write_basis(folder / "brain.basis", basis)
    for i in range(N_SPECTRA):
        axis = AXIS if i % 2 else LONGER
        write_signal(folder / f"scan{i:02d}.nii.gz", make_signal(basis, noise=0.4, seed=i, axis=axis))
    return folder


def spectra_of(folder: Path, n: int = N_SPECTRA) -> list[Path]:
    return sorted(folder.glob("scan*.nii.gz"))[:n]


def fitted(
    folder: Path,
    spectra: list[Path],
    out: Path,
    *,
    mm: str = "study",
    n_procs: int = 1,
    figures: bool = False,
    joint: bool = False,
) -> BatchSummary:
    config = with_settings(StudyConfig(), "basis", file=str(folder / "brain.basis"))
    config = with_settings(with_settings(config, "fit", mm=mm), "engine", n_procs=n_procs)
    return fit_files(spectra, [], out, config, RawHeader(), lambda *_: None, figures=figures, joint=joint)


@pytest.fixture(scope="module")
def learned(folder, tmp_path_factory) -> tuple[Path, BatchSummary]:
    """All spectra fitted after learning, and what the command says."""
    out = tmp_path_factory.mktemp("learned")
    return out, fitted(folder, spectra_of(folder), out)


def files_of(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_batch_learns_its_macromolecules_and_fits_every_spectrum_with_them(learned):
    out, batch = learned
    assert batch.note == f"Macromolecules: learned from {N_SPECTRA} usable spectra."
    assert json.loads((out / "macromolecules.json").read_text())["n_spectra"] == N_SPECTRA
    models = {json.loads(path.read_text())["macromolecule_model"] for path in out.glob("scan*/fit.json")}
    assert models == {"study-learned smooth shape"}


def test_every_file_of_a_batch_is_the_same_for_one_and_two_workers(folder, learned, tmp_path):
    fitted(folder, spectra_of(folder), tmp_path, n_procs=2)
    one, two = files_of(learned[0]), files_of(tmp_path)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def test_a_few_spectra_start_no_workers(folder, tmp_path, monkeypatch):
    def no_pool(*_args, **_options):
        raise AssertionError("Workers were started.")

    monkeypatch.setattr("mrspipe.engine.ProcessPoolExecutor", no_pool)
    monkeypatch.setattr("mrspipe.engine.usable_cores", lambda: 2)
    batch = fitted(folder, spectra_of(folder, 3), tmp_path, mm="auto", n_procs=0)
    assert len(batch.outcomes) == 3


def test_a_broken_spectrum_neither_stops_the_batch_nor_enters_the_learning(folder, learned, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(spectra_of(folder)[0].read_bytes()[:200])
    batch = fitted(folder, [broken, *spectra_of(folder)], tmp_path / "out")
    assert [outcome.name for outcome in batch.outcomes if outcome.failure] == ["broken"]
    failures = read_table(tmp_path / "out" / "failures.tsv")
    assert failures[["spectrum", "stage"]].to_numpy().tolist() == [["broken", "load"]]
    for name in ("macromolecules.json", "summary.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (learned[0] / name).read_bytes()


def test_too_few_spectra_are_fitted_with_the_generic_lines_and_the_command_says_so(
    folder, tmp_path, monkeypatch, capsys
):
    spectra = spectra_of(folder, 3)
    options = ("--basis", folder / "brain.basis", "--mm", "study", "--no-figures", "--out", tmp_path / "study")
    monkeypatch.setattr(sys, "argv", ["mrspipe", "fit", *map(str, (*spectra, *options))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Macromolecules: ")]
    assert len(said) == 1
    assert "generic shape, because 3 usable spectra are too few" in said[0]
    fitted(folder, spectra, tmp_path / "alone", mm="parametrised")
    tables = [(tmp_path / name / "summary.tsv").read_bytes() for name in ("study", "alone")]
    assert tables[0] == tables[1]


def test_without_learning_a_spectrum_is_fitted_as_if_it_were_alone(folder, tmp_path):
    spectra = spectra_of(folder, 2)
    assert fitted(folder, spectra, tmp_path / "both", mm="auto").note == ""
    fitted(folder, spectra[:1], tmp_path / "alone", mm="auto")
    both, alone = files_of(tmp_path / "both" / "scan00"), files_of(tmp_path / "alone" / "scan00")
    assert both == alone
    assert not (tmp_path / "both" / "macromolecules.json").exists()


def test_without_figures_everything_but_the_figure_is_written_and_no_old_one_stays(folder, tmp_path):
    fitted(folder, spectra_of(folder, 1), tmp_path, mm="auto", figures=True)
    drawn = files_of(tmp_path)
    fitted(folder, spectra_of(folder, 1), tmp_path, mm="auto", figures=False)
    plain = files_of(tmp_path)
    assert drawn.keys() - plain.keys() == {"scan00/fit.svg"}
    assert all(drawn[name] == plain[name] for name in plain)


def test_spectra_of_one_subject_can_be_fitted_together(folder, tmp_path):
    fitted(folder, spectra_of(folder, 6)[1::2], tmp_path, mm="auto", joint=True)
    changes = read_table(tmp_path / "changes.tsv")
    assert set(changes["spectrum"]) == {"scan03", "scan05"}
    assert set(changes["since_spectrum"]) == {"scan01"}
    glu = changes[changes["metabolite"] == "Glu"]
    # All scans have the same glutamate: the changes are within three standard errors of none.
    assert (glu["change"].abs() < 3 * glu["change_se"]).all()
    assert (glu["change_se"] < glu["separate_change_se"]).all()


@pytest.mark.real
def test_a_metabolite_nulled_scan_becomes_an_entry_that_agrees_with_the_fit_without_it(real_data, tmp_path):
    folder, stem = real_data / "philips_press30_mm", "sub-01_ses-01_PRESS"
    basis = tmp_path / "press30.basis"
    simulate_to_file(
        basis, {"sequence": "press", "echo_time_s": 0.03}, field_t=3.0, n_points=2048, bandwidth_hz=2000.0,
        linewidth_hz=1.0, metabolites=(),
    )  # fmt: skip
    nulled = [folder / f"{stem}-Inverted_TI-600_raw-{kind}_noID.SDAT" for kind in ("act", "ref")]
    written = add_macromolecules(*nulled, basis, tmp_path / "with.basis")
    assert written.names[-1] == "Mac"
    with pytest.raises(AnalysisError, match="nulled"):
        add_macromolecules(folder / f"{stem}_raw-act_noID.SDAT", None, basis, tmp_path / "wrong.basis")
    found = []
    for used in (basis, tmp_path / "with.basis"):
        config = with_settings(StudyConfig(), "basis", file=str(used))
        spectra, waters = ([folder / f"{stem}_raw-{kind}_noID.SDAT"] for kind in ("act", "ref"))
        batch = fit_files(spectra, waters, tmp_path / used.stem, config, RawHeader(), lambda *_: None, figures=False)
        glu = next(row for row in batch.outcomes[0].rows if row["metabolite"] == "Glu")
        found.append((glu["ratio_tcr"], glu["ratio_tcr_se"]))
    (without, se), (measured, _) = found
    # Two treatments of the same macromolecules differ by less than either states as its error.
    assert abs(measured - without) < se
