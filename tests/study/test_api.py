"""The library in a notebook gives what the command line gives, and costs nothing until it is used."""

import ast
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest

import mrspipe as mp
from mrspipe.config import StudyConfig
from mrspipe.core.errors import ConfigError, HeaderError, InputError
from mrspipe.io.tables import read_table
from mrspipe.pipeline.spectra import RawHeader, fit_files

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def files(pairs_study):
    scan = next(pairs_study.rglob("*_svs.nii.gz"))
    return scan, next(scan.parent.glob("*_mrsref.nii.gz"))


@pytest.fixture(scope="module")
def fit(files):
    return mp.read(*files).preprocess().fit()


def test_importing_the_package_loads_nothing_of_it():
    code = (
        "import sys, time; before = set(sys.modules); start = time.perf_counter(); import mrspipe;"
        "print(time.perf_counter() - start, *sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    seconds, *loaded = done.stdout.split()
    assert float(seconds) < 0.05
    assert [name for name in loaded if name.startswith("mrspipe")] == ["mrspipe"]
    assert not {"numpy", "pandas", "scipy", "matplotlib", "pydantic"} & set(loaded)


def test_what_is_offered_is_there_and_nothing_else():
    import mrspipe.api

    for name in ("Fit", "Spectrum", "Study", "contrasts", "load_config", "read", "read_study"):
        assert getattr(mp, name) is getattr(mrspipe.api, name)
        assert name in dir(mp)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mp.nothing  # noqa: B018  the access is the test


def test_the_numbers_are_those_of_the_command_line(files, fit, tmp_path):
    fit_files([files[0]], [files[1]], tmp_path, StudyConfig(), RawHeader(), lambda *_: None, figures=False)
    expected = read_table(tmp_path / "summary.tsv").set_index("metabolite")
    found = fit.table()
    columns = ["amplitude", "se_fit", "crlb_pct", "ratio_tcr", "ratio_tcr_se", "fwhm_hz", "snr"]
    # Tables on disk have ten significant digits.
    pd.testing.assert_frame_equal(found[columns], expected.loc[found.index, columns], rtol=1e-9, check_index_type=False)


def test_each_step_gives_a_new_object_and_leaves_the_old_one(files):
    scan = mp.read(*files)
    before = scan.scan
    clean = scan.preprocess()
    assert scan.scan is before
    assert clean.scan.metabolites.history
    assert clean.scan.metabolites.dims == ("time",)


def test_a_spectrum_that_is_not_combined_is_preprocessed_before_the_fit(files, fit):
    assert mp.read(*files).fit().parameters.amplitudes == pytest.approx(fit.parameters.amplitudes)


def test_what_is_not_measured_has_a_reason_in_the_table(files):
    levels = mp.read(files[0]).preprocess().fit().concentrations()
    molar = levels[levels["quantity"] == "molar"]
    assert molar["value"].isna().all()
    assert set(molar["reason"]) == {"no water reference"}


def test_errors_are_those_of_the_library_without_the_pipeline_around_them(files, tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        mp.read(tmp_path / "absent.nii.gz")
    with pytest.raises(InputError, match=r"measurements\.tsv"):
        mp.read_study(tmp_path)
    clean = mp.read(*files).preprocess()
    unknown = StudyConfig.model_validate({"basis": {"sequence": "steam"}})
    with pytest.raises((ConfigError, HeaderError)):
        clean.fit(config=unknown)


def test_pictures_and_texts_are_well_formed_and_the_same_each_time(files, fit):
    picture = fit.plot()._repr_svg_()
    assert ET.fromstring(picture).tag.endswith("svg")
    assert picture == fit.plot()._repr_svg_()
    for shown in (mp.read(*files), fit):
        ET.fromstring(f"<div>{shown._repr_html_()}</div>")


def test_a_study_is_read_as_it_was_written_and_its_contrasts_come_out_again(analysed):
    study = mp.read_study(analysed)
    assert study.ratings is None
    assert "Participants" in study._repr_html_()
    pd.testing.assert_frame_equal(study.measurements, read_table(analysed / "group" / "measurements.tsv"))
    again = mp.contrasts(study.measurements, study.config)
    pd.testing.assert_series_equal(again["estimate"], study.contrasts["estimate"], rtol=1e-9)


def test_a_picture_is_saved_in_the_format_of_its_name(fit, tmp_path):
    fit.plot().save(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_keeps_no_output(notebook, pairs_study, analysed, tmp_path, monkeypatch):
    (tmp_path / "bids").symlink_to(pairs_study)
    (tmp_path / "derivatives").symlink_to(analysed)
    monkeypatch.setenv("MRSPIPE_DEMO", str(tmp_path))
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        tree = ast.parse("".join(cell["source"]))
        shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, notebook.name, "exec"), names)
        if shown is not None:
            value = eval(compile(ast.Expression(shown.value), notebook.name, "eval"), names)
            rich = getattr(value, "_repr_svg_", None) or getattr(value, "_repr_html_", None) or value.__repr__
            assert rich()
