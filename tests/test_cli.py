import json
import subprocess
import sys
from pathlib import Path

import pytest
from study_helpers import make_study

from mrspipe import __version__
from mrspipe.cli.main import main
from mrspipe.config import bundled
from mrspipe.io.tables import read_table

COMMANDS = (
    *("demo", "run", "check", "group", "stats", "report", "compare", "verify"),
    *("power", "synth", "calibrate", "fit", "basis", "import"),
)


def call(monkeypatch, *arguments) -> int:
    """Run a command in this process; gives the exit code."""
    monkeypatch.setattr(sys, "argv", ["mrspipe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_help_lists_every_command(monkeypatch, capsys):
    assert call(monkeypatch, "--help") == 0
    text = capsys.readouterr().out
    assert all(f" {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(monkeypatch, capsys, command):
    assert call(monkeypatch, command, "--help") == 0
    assert f"Example: mrspipe {command}" in capsys.readouterr().out


def test_help_loads_no_heavy_library():
    heavy = ("numpy", "pandas", "scipy", "matplotlib")
    code = f"import sys, mrspipe.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_printed(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == f"mrspipe {__version__}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere", "out"), "does not exist"),
        (("run", ".", "out", "--config", "cocain_nac"), "There is no file 'cocain_nac'"),
        (("fit", "nowhere.RAW", "--out", "out", "--basis", "none.basis"), "none.basis"),
        (("synth", "smal", "out"), "small"),
        (("group", "nowhere"), "no results of mrspipe run"),
        (("power", "nowhere"), "no results of mrspipe run"),
        (("calibrate", "smal"), "small"),
        (("check", "nowhere"), "does not exist"),
        (("verify", "."), "no results of mrspipe run"),
        (("run", ".", "out", "--engine", "spark"), "engine.engine = 'spark'"),
        (("run", ".", "out", "--cluster-config", "none.toml"), "none.toml"),
        (("basis", "out.basis", "--sequence", "pres", "--te-ms", "30", "--field-t", "3"), "press"),
        (("import", "nowhere.sdat", "bids", "--sub", "01"), "nowhere.sdat"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 2
    text = capsys.readouterr().err
    assert message in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fit]\nrange_pm = [0.2, 4.2]\n", "There is no setting 'fit.range_pm'. Did you mean 'range_ppm'?"),
        ("[fit]\nmax_iterations = 0\n", "fit.max_iterations = 0"),
        ("[fit\n", "not readable TOML"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(monkeypatch, capsys, tmp_path, text, message):
    (tmp_path / "study.toml").write_text(text)
    assert call(monkeypatch, "run", tmp_path, tmp_path / "out", "--config", tmp_path / "study.toml") == 2
    assert message in capsys.readouterr().err


def test_a_study_goes_from_recipe_to_report_and_failures_set_the_exit_code(monkeypatch, capsys, tmp_path):
    bids_dir, out_dir = make_study(tmp_path / "bids", "two_groups", 2), tmp_path / "out"
    # Two participants a group are no study; the test only asks whether the numbers arrive.
    config = tmp_path / "study.toml"
    config.write_text(bundled("configs", "two_groups").read_text() + "\n[stats]\nmin_per_group = 2\n")
    common = ("--config", str(config), "--n-procs", "1")
    assert call(monkeypatch, "run", bids_dir, out_dir, "--dry-run", *common) == 0
    assert "4 scans to analyse, 0 already done" in capsys.readouterr().out
    assert not out_dir.exists()
    assert call(monkeypatch, "check", bids_dir, "--config", "two_groups") == 0
    assert "4 scans can be analysed, 0 cannot." in capsys.readouterr().out
    assert call(monkeypatch, "run", bids_dir, out_dir, *common) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 scans analysed." in printed
    assert "patients-controls" in printed
    contrasts, page = (out_dir / "group" / "contrasts.tsv").read_bytes(), (out_dir / "group.html").read_bytes()
    for command in ("group", "report"):
        (out_dir / "group.html").unlink()
        assert call(monkeypatch, command, out_dir) == 0
        assert (out_dir / "group.html").read_bytes() == page
    assert (out_dir / "group" / "contrasts.tsv").read_bytes() == contrasts
    capsys.readouterr()
    sidecar = bids_dir / "sub-02" / "mrs" / "sub-02_svs.json"
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "EchoTime": 32}))
    assert call(monkeypatch, "run", bids_dir, out_dir, *common) == 1
    assert "Failed: sub-02 (load, echo-time-unit): " in capsys.readouterr().err


def test_participant_labels_are_taken_in_both_spellings(monkeypatch, capsys, tmp_path):
    bids_dir = make_study(tmp_path / "bids", "single_group", 2)
    for option, label in (("--participant-label", "01"), ("--participant_label", "sub-02")):
        call(monkeypatch, "run", bids_dir, tmp_path / "out", "participant", option, label, "--dry-run")
        assert f"Would analyse sub-{label.removeprefix('sub-')}" in capsys.readouterr().out


def test_a_simulated_basis_can_be_written_and_converted(monkeypatch, capsys, tmp_path):
    first, second = tmp_path / "a.basis", tmp_path / "b.basis"
    options = ("--sequence", "press", "--te-ms", "30", "--field-t", "3", "--metabolite", "NAA", "--metabolite", "Cr")
    assert call(monkeypatch, "basis", first, *options) == 0
    assert call(monkeypatch, "basis", "convert", first, second) == 0
    assert "2 entries (NAA, Cr)" in capsys.readouterr().out


@pytest.mark.real
def test_the_fitting_challenge_is_fitted_and_its_phantom_holds_10_mm(monkeypatch, real_data, tmp_path):
    folder = real_data / "fitting_challenge"
    names = [*(f"dataset{n}" for n in range(1, 15)), "Cr_10mM_test_water_scaling"]
    water = [part for name in names for part in ("--water", folder / f"{name}.H2O")]
    basis = real_data / "basis" / "challenge_press30_3T_measuredMM.basis"
    spectra = [folder / f"{name}.RAW" for name in names]
    options = ("--basis", basis, "--config", "fitting_challenge", "--out", tmp_path)
    assert call(monkeypatch, "fit", *spectra, *water, *options) == 0
    table = read_table(tmp_path / "summary.tsv").set_index(["spectrum", "metabolite"])
    assert set(table["status"]) == {"converged"}
    assert table.loc[("Cr_10mM_test_water_scaling", "tCr"), "molar"] == pytest.approx(10.0, rel=0.02)
    assert all((tmp_path / name / "fit.svg").exists() for name in names)


@pytest.mark.real
def test_ratios_agree_with_lcmodel_on_the_first_six_challenge_spectra(monkeypatch, real_data, tmp_path):
    folder = real_data / "fitting_challenge"
    spectra = [folder / f"dataset{n}.RAW" for n in range(1, 7)]
    water = [part for n in range(1, 7) for part in ("--water", folder / f"dataset{n}.H2O")]
    basis = real_data / "basis" / "challenge_press30_3T_measuredMM.basis"
    assert call(monkeypatch, "fit", *spectra, *water, "--basis", basis, "--out", tmp_path) == 0
    ours = read_table(tmp_path / "summary.tsv").set_index(["spectrum", "metabolite"])["ratio_tcr"]
    theirs = read_table(real_data / "reference" / "lcmodel_6.3.tsv").set_index(["spectrum", "metabolite"])["ratio_tcr"]
    beyond = set()
    for n in range(1, 7):
        of = f"fitting_challenge/dataset{n}"
        choline = theirs[(of, "GPC")] + theirs[(of, "PCho")]
        pairs = {"tCho": choline, "tNAA": theirs[(of, "NAA+NAAG")], **{m: theirs[(of, m)] for m in ("Glu", "Ins")}}
        for name, expected in pairs.items():
            if ours[(f"dataset{n}", name)] != pytest.approx(expected, rel=0.15):
                beyond.add((n, name))
    # A known miss of the 15 %: lines of 11 Hz, Glu 18 % below. Whoever mends it takes it away.
    assert beyond == {(3, "Glu")}


@pytest.mark.real
def test_philips_scans_are_imported_analysed_and_honestly_not_compared(monkeypatch, capsys, real_data, tmp_path):
    bids_dir, out_dir = tmp_path / "bids", tmp_path / "out"
    for sub, folder in (("01", "philips_press35"), ("02", "philips_press30_mm")):
        assert call(monkeypatch, "import", real_data / folder, bids_dir, "--sub", sub) in (0, None)
    assert call(monkeypatch, "run", bids_dir, out_dir, "--n-procs", "1") == 0
    page = Path(out_dir / "group.html").read_text()
    assert "No group test was made" in page
    assert (out_dir / "sub-01.html").exists()
    assert (out_dir / "sub-02.html").exists()


def make_mapping(tmp_path, text):
    (tmp_path / "source").mkdir(exist_ok=True)
    (tmp_path / "mapping.tsv").write_text(text)
    return ("import", tmp_path / "source", tmp_path / "bids", "--map", tmp_path / "mapping.tsv")


def test_every_problem_of_a_mapping_is_a_line_and_nothing_is_written(monkeypatch, capsys, tmp_path):
    command = make_mapping(tmp_path, "file\tparticipant_id\na.rda\t0_1\nb.rda\t02\n")
    assert call(monkeypatch, *command) == 2
    text = capsys.readouterr().err
    assert "line 2: file: there is no a.rda" in text
    assert "line 2: participant_id: A BIDS label" in text
    assert "line 3: file: there is no b.rda" in text
    assert "Nothing was written: 3 problems" in text
    assert not (tmp_path / "bids").exists()


def test_a_failed_row_is_named_and_the_exit_code_is_1(monkeypatch, capsys, tmp_path):
    command = make_mapping(tmp_path, "file\tparticipant_id\na.nii\t01\n")
    (tmp_path / "source" / "a.nii").write_bytes(b"broken")
    assert call(monkeypatch, *command) == 1
    shown = capsys.readouterr()
    assert "Failed: line 2" in shown.err
    assert "0 scans imported, 0 there already, 1 failed." in shown.out


def test_keeping_identities_is_warned_of(monkeypatch, capsys, tmp_path):
    command = make_mapping(tmp_path, "file\tparticipant_id\na.nii\t01\n")
    (tmp_path / "source" / "a.nii").write_bytes(b"broken")
    call(monkeypatch, *command, "--keep-identity")
    assert "Do not share this dataset" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "source", "bids"),
        ("import", "source", "bids", "--map", "m.tsv", "--sub", "01"),
        ("import", "source", "--map", "m.tsv"),
        ("import", "source", "bids", "--draft", "m.tsv"),
    ],
)
def test_import_is_told_what_to_do_in_exactly_one_way(monkeypatch, tmp_path, arguments):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 2


def test_a_draft_never_replaces_a_file(monkeypatch, capsys, tmp_path):
    (tmp_path / "mapping.tsv").write_text("my work")
    assert call(monkeypatch, "import", tmp_path, "--draft", tmp_path / "mapping.tsv") == 2
    assert (tmp_path / "mapping.tsv").read_text() == "my work"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "nowhere", "--with", "lcmodel=x"), "no results of mrspipe run"),
        (("compare", "nowhere", "--with", "lcmodel"), "NAME=PATH"),
    ],
)
def test_a_comparison_that_cannot_be_made_says_why(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_synth_can_make_the_tables_alone_and_stats_reads_them(monkeypatch, capsys, tmp_path):
    out = tmp_path / "tables"
    assert call(monkeypatch, "synth", "two_groups", out, "--level", "concentrations", "--random-seed", "3") == 0
    assert f"Tables: {out}" in capsys.readouterr().out
    assert sorted(path.name for path in out.glob("*.tsv")) == ["measurements.tsv", "participants.tsv"]
    assert (tmp_path / "tables_truth" / "truth.tsv").exists()
    table, found = out / "measurements.tsv", tmp_path / "found"
    assert call(monkeypatch, "stats", table, "--config", "two_groups", "--out", found, "--quiet") == 0
    contrasts = read_table(found / "contrasts.tsv").set_index("contrast")
    assert contrasts.loc["patients-controls", "n_scans"].iloc[0] > 0
