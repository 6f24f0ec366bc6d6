import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest

from mrspipe.core.errors import InputError
from mrspipe.io.bids import find_scans, participants, read_scan, sessions
from mrspipe.io.tables import read_json, read_table
from mrspipe.io.volumes import read_volume
from mrspipe.synth.acquisition import LossSettings
from mrspipe.synth.covariates import RatingCell, Ratings
from mrspipe.synth.recipe import Crossover, Group, Parallel, Recipe
from mrspipe.synth.study import truth_folder, write_study
from mrspipe.tissue.voxel import voxel_fractions

CELLS = tuple(
    RatingCell(group=group, task=task, mean=10, sd=5) for group in ("CAI", "HC") for task in ("neutral", "cue")
)
CYCLED = Recipe(
    groups=(Group(name="CAI", n=1), Group(name="HC", n=1)),
    sessions=("1", "2"),
    tasks=("neutral", "cue"),
    crossover=Crossover(),
    ratings=Ratings(cells=CELLS),
    measurement={"blocks": 2, "coils": 2, "image_voxel_mm": 4.0},
)
SUPPRESSED = Recipe(groups=(Group(n=2),), measurement={"cycling": False, "blocks": 2, "image_voxel_mm": 4.0})


@pytest.fixture(scope="module")
def cycled(tmp_path_factory):
    return write_study(CYCLED, tmp_path_factory.mktemp("cycled") / "study")


@pytest.fixture(scope="module")
def suppressed(tmp_path_factory):
    return write_study(SUPPRESSED, tmp_path_factory.mktemp("suppressed") / "study")


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(tmp_path, suppressed):
    again = write_study(SUPPRESSED, tmp_path / "study")
    assert digests(again) == digests(suppressed)
    assert digests(truth_folder(again)) == digests(truth_folder(suppressed))


def test_another_seed_gives_other_spectra(tmp_path, suppressed):
    other = digests(write_study(SUPPRESSED, tmp_path / "study", seed=99))
    same = digests(suppressed)
    assert other.keys() == same.keys()
    assert all(other[name] != same[name] for name in same if name.endswith(("svs.nii.gz", "mrsref.nii.gz")))


def test_scans_are_found_with_water_anatomy_and_tissue(suppressed):
    found = find_scans(suppressed)
    assert found.failures == ()
    assert [files.key.label for files in found.scans] == ["sub-01", "sub-02"]
    scan = read_scan(found.scans[0])
    assert scan.metabolites.dims == ("transient", "time")
    assert scan.water is not None
    assert found.scans[0].anatomy is not None
    assert set(found.scans[0].tissue_maps) == {"GM", "WM", "CSF"}


def test_cycled_scans_have_coils_transients_and_cycles(cycled):
    found = find_scans(cycled)
    assert len(found.scans) == 8
    scan = read_scan(found.scans[0])
    assert scan.metabolites.dims == ("coil", "transient", "cycle", "time")
    assert scan.metabolites.samples.shape == (2, 2, 2, 1024)
    assert scan.metabolites.acquisition.water_suppressed is False
    assert scan.metabolites.acquisition.echo_time_s == 0.032


def test_water_is_the_largest_peak_and_lies_at_465_hundredths(cycled):
    from mrspipe.core.operators import to_spectrum

    signal = read_scan(find_scans(cycled).scans[0]).metabolites
    spectrum = np.abs(to_spectrum(signal.samples[0, 0, 0]))
    # The scan's frequency offset has an SD of 2 Hz, 0.016 ppm.
    assert signal.axis.ppm[np.argmax(spectrum)] == pytest.approx(4.65, abs=0.1)


def test_tables_have_the_columns_of_the_design(cycled):
    people, visits = participants(cycled), sessions(cycled)
    assert list(people.columns[:2]) == ["participant_id", "group"]
    assert {"age", "sex", "smoker"} <= set(people.columns)
    assert {"session_id", "drug", "period", "craving_neutral", "craving_cue"} <= set(visits.columns)
    assert set(visits["drug"]) == {"nac", "placebo"}
    assert set(visits["session_id"]) == {"ses-1", "ses-2"}


def test_tissue_maps_give_the_true_fractions_at_the_voxel(cycled):
    truth = read_table(truth_folder(cycled) / "truth.tsv")
    for files in find_scans(cycled).scans:
        maps = {name: read_volume(path) for name, path in files.tissue_maps.items()}
        found = voxel_fractions(read_scan(files).metabolites.affine, maps)
        row = truth[
            (truth["participant_id"] == f"sub-{files.key.sub}") & (truth["session_id"] == f"ses-{files.key.ses}")
        ].iloc[0]
        # The voxel's edges are found to half a third of 4 mm, and the gradient is 0.006 per mm.
        assert (found.gm, found.csf) == pytest.approx((row["gm_fraction"], row["csf_fraction"]), abs=0.004)


def test_truth_has_a_row_per_scan_and_metabolite_outside_the_tree(cycled):
    truth = read_table(truth_folder(cycled) / "truth.tsv")
    assert not truth.duplicated(["participant_id", "session_id", "task_id", "metabolite"]).any()
    assert len(truth) == 8 * truth["metabolite"].nunique()
    assert {"tCr", "Glx", "Glu", "tNAA", "tCho"} <= set(truth["metabolite"])
    assert not list(cycled.rglob("*truth*"))
    assert read_json(truth_folder(cycled) / "recipe.json")["seed"] == CYCLED.seed


def test_lost_scans_are_listed_and_not_written(tmp_path):
    recipe = SUPPRESSED.model_copy(update={"losses": LossSettings(technical=1.0)})
    root = write_study(recipe, tmp_path / "study")
    lost = read_table(truth_folder(root) / "lost.tsv")
    assert list(lost["reason"]) == ["technical failure"] * 2
    assert not list(root.rglob("*_svs.nii.gz"))


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match=r"empty folder.*Choose another folder"):
        write_study(SUPPRESSED, tmp_path / "study")


def test_progress_counts_the_scans(tmp_path):
    seen = []
    write_study(SUPPRESSED, tmp_path / "study", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", ["cycled", "suppressed"])
def test_the_tree_passes_the_bids_validator(name, request):
    validator = _validator()
    root = request.getfixturevalue(name)
    for folder in (root, root / "derivatives" / "tissue"):
        run = subprocess.run([validator, str(folder), "--json"], capture_output=True, text=True, check=False)
        issues = json.loads(run.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue["severity"] == "error"] == []


def _validator():
    import sys
    from pathlib import Path

    beside = Path(sys.executable).with_name("bids-validator-deno")
    found = str(beside) if beside.exists() else shutil.which("bids-validator-deno")
    if not found:
        pytest.skip("bids-validator-deno is not installed")
    return found


def test_every_session_has_its_own_image_and_tissue_maps(cycled):
    for files in find_scans(cycled).scans:
        visit = f"sub-{files.key.sub}_ses-{files.key.ses}"
        assert files.anatomy.name == f"{visit}_T1w.nii.gz"
        assert files.tissue_maps["GM"].name == f"{visit}_label-GM_probseg.nii.gz"


def test_who_left_has_no_image_of_the_session_missed(tmp_path):
    recipe = SUPPRESSED.model_copy(update={"sessions": ("1", "2"), "groups": (Group(n=1, dropout=1.0),)})
    root = write_study(recipe, tmp_path / "study")
    assert [path.name for path in root.glob("sub-*/ses-*/anat/*.nii.gz")] == ["sub-01_ses-1_T1w.nii.gz"]
    assert list(sessions(root)["session_id"]) == ["ses-1"]


def test_the_preflight_has_no_doubt_about_images_of_another_session(tmp_path):
    from mrspipe.config import load_config
    from mrspipe.engine import Workers
    from mrspipe.pipeline.preflight import check_scans

    recipe = SUPPRESSED.model_copy(update={"sessions": ("1", "2"), "groups": (Group(n=1),)})
    root = write_study(recipe, tmp_path / "study", level="averaged")
    with Workers(1) as here:
        checks = check_scans(find_scans(root), load_config("pre_post"), here)
    assert len(checks.reports) == 2
    assert "anatomy-other-session" not in {finding.code for finding in checks.findings}


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    return write_study(CYCLED, tmp_path_factory.mktemp("averaged") / "study", level="averaged")


def test_an_averaged_study_has_one_spectrum_and_one_water_reference_for_each_scan(averaged, cycled):
    found = find_scans(averaged)
    assert found.failures == ()
    assert [files.key for files in found.scans] == [files.key for files in find_scans(cycled).scans]
    scan = read_scan(found.scans[0])
    assert scan.metabolites.dims == scan.water.dims == ("time",)
    assert scan.metabolites.acquisition.water_suppressed is True
    assert scan.water.acquisition.water_suppressed is False
    sidecar = read_json(found.scans[0].metabolites.with_name(f"{found.scans[0].key.label}_svs.json"))
    assert "PulseSequenceDetails" not in sidecar


def test_raw_and_averaged_studies_have_the_same_truth(averaged, cycled):
    first, second = (truth_folder(root) / "truth.tsv" for root in (averaged, cycled))
    assert first.read_bytes() == second.read_bytes()
    levels = [read_json(truth_folder(root) / "recipe.json")["level"] for root in (averaged, cycled)]
    assert levels == ["averaged", "raw"]


def test_the_truth_says_how_each_number_is_known(cycled):
    origins = read_json(truth_folder(cycled) / "recipe.json")["origins"]
    by_place = {one["quantity"]: one for one in origins}
    assert by_place["quality.snr_mean"]["tag"] == "read"
    assert by_place["levels[Glu].mean"] == {
        "quantity": "levels[Glu].mean",
        "value": 11.9,
        "unit": "mM",
        "tag": "read",
        "source": "doi 10.1111/adb.13027, as coded in doi 10.1016/j.ab.2023.115227",
        "note": "controls 11.89",
    }


def test_arms_are_a_column_of_the_participants_and_of_the_truth(tmp_path):
    groups = (Group(name="MDD", n=2), Group(name="HC", n=1))
    parallel = Parallel(arms=("placebo", "riluzole"), groups=("MDD",))
    recipe = SUPPRESSED.model_copy(update={"groups": groups, "parallel": parallel})
    root = write_study(recipe, tmp_path / "study", level="averaged")
    people = participants(root)
    assert sorted(people["arm"].dropna()) == ["placebo", "riluzole"]
    assert list(people["group"][people["arm"].isna()]) == ["HC"]
    assert "\tn/a\t" in (root / "participants.tsv").read_text()
    truth = read_table(truth_folder(root) / "truth.tsv")
    assert set(truth.loc[truth["group"] == "MDD", "arm"]) == {"placebo", "riluzole"}
