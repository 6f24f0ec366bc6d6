import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mrspipe.core.axis import SpectralAxis
from mrspipe.core.errors import ConfigError, FileError, HeaderError, InputError
from mrspipe.core.signal import Acquisition, ScanKey, Signal
from mrspipe.io.bids import (
    Selection,
    check_output_dir,
    find_scans,
    participants,
    read_scan,
    repeated_participants,
    repeated_sessions,
    sessions,
)
from mrspipe.io.nifti_mrs import write_signal

_META = {"ResonantNucleus": ["1H"], "SpectrometerFrequency": [127.7], "SpectralWidth": 2000.0, "EchoTime": 0.032}


class Dataset:
    """A dataset of empty images: only names and sidecars matter for finding scans."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def image(self, path, meta=None):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
        if meta is not None:
            self.json(path.replace(".nii.gz", ".json").replace(".nii", ".json"), meta)
        return target

    def json(self, path, meta):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(json.dumps(meta))

    def text(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def one(self, **options):
        found = find_scans(self.root, **options)
        assert found.failures == ()
        assert len(found.scans) == 1
        return found.scans[0]

    def failure(self, **options):
        found = find_scans(self.root, **options)
        assert len(found.failures) == 1
        return found.failures[0]


@pytest.fixture
def study(tmp_path):
    """A dataset whose root sidecars say all that is required."""
    dataset = Dataset(tmp_path / "study")
    dataset.json("svs.json", _META)
    dataset.json("mrsref.json", _META)
    return dataset


# Names


def test_the_entities_of_a_name_are_the_key(study):
    name = "sub-01_ses-2_task-cue_acq-press_nuc-1H_voi-acc_rec-a_run-01_echo-1"
    study.image(f"sub-01/ses-2/mrs/{name}_svs.nii.gz")
    key = study.one().key
    assert key == ScanKey("01", "2", "cue", "press", "1H", "acc", "a", "01", "1")
    assert key.label == name


def test_scans_are_sorted_and_each_is_found_once(study):
    for sub in ("02", "10", "01"):
        study.image(f"sub-{sub}/mrs/sub-{sub}_svs.nii.gz")
        study.image(f"sub-{sub}/ses-1/mrs/sub-{sub}_ses-1_svs.nii")
    found = [scan.key.label for scan in find_scans(study.root).scans]
    assert found == ["sub-01", "sub-01_ses-1", "sub-02", "sub-02_ses-1", "sub-10", "sub-10_ses-1"]


def test_the_same_scan_packed_and_unpacked_is_refused(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_svs.nii")
    failure = study.failure()
    assert failure.code == "duplicate"
    assert failure.row()["participant_id"] == "sub-01"


def test_a_file_in_the_folder_of_another_subject_is_refused(study):
    study.image("sub-01/mrs/sub-02_svs.nii.gz")
    assert study.failure().code == "wrong-folder"


def test_a_file_without_its_session_in_the_name_is_refused(study):
    study.image("sub-01/ses-1/mrs/sub-01_svs.nii.gz")
    assert study.failure().code == "wrong-folder"


def test_an_entity_that_spectra_do_not_have_is_refused(study):
    study.image("sub-01/mrs/sub-01_dir-AP_svs.nii.gz")
    assert study.failure().code == "entity"


def test_a_link_to_content_that_was_not_fetched_is_told(study):
    (study.root / "sub-01" / "mrs").mkdir(parents=True)
    (study.root / "sub-01" / "mrs" / "sub-01_svs.nii.gz").symlink_to("nowhere")
    assert study.failure().code == "file-missing"


def test_one_broken_scan_does_not_stop_the_others(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    study.image("sub-02/mrs/sub-02_svs.nii.gz", {"EchoTime": 32})
    study.text("sub-03/mrs/sub-03_svs.json", "{")
    study.image("sub-03/mrs/sub-03_svs.nii.gz")
    found = find_scans(study.root)
    assert [scan.key.sub for scan in found.scans] == ["01"]
    assert [(f.entities["sub"], f.stage, f.code) for f in found.failures] == [
        ("02", "load", "echo-time-unit"),
        ("03", "load", "json"),
    ]


def test_spectra_that_are_not_single_voxel_1h_are_left_out_with_the_reason(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_mrsi.nii.gz")
    study.image("sub-01/mrs/sub-01_nuc-31P_svs.nii.gz", {"ResonantNucleus": ["31P"]})
    study.image("sub-01/mrs/sub-01_inv-1_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_acq-mm_svs.nii.gz", {"InversionTime": 0.6})
    found = find_scans(study.root)
    assert [scan.key.label for scan in found.scans] == ["sub-01"]
    assert {path.name: reason.split()[0] for path, reason in found.skipped} == {
        "sub-01_mrsi.nii.gz": "spectroscopic",
        "sub-01_nuc-31P_svs.nii.gz": "31P",
        "sub-01_inv-1_svs.nii.gz": "metabolites",
        "sub-01_acq-mm_svs.nii.gz": "metabolites",
    }


# Sidecars


def test_sidecars_are_inherited_from_the_root_down(tmp_path):
    study = Dataset(tmp_path)
    study.json("svs.json", {**_META, "RepetitionTime": 1, "MixingTime": 1})
    study.json("task-cue_svs.json", {"RepetitionTime": 2, "MixingTime": 2})
    study.json("task-neutral_svs.json", {"RepetitionTime": 9})
    study.json("sub-01/sub-01_svs.json", {"MixingTime": 3})
    study.json("sub-01/mrs/sub-01_task-cue_svs.json", {"EchoTime": 0.04})
    study.json("mrsref.json", {"Manufacturer": "of the reference only"})
    study.image("sub-01/mrs/sub-01_task-cue_svs.nii.gz")
    assert study.one().sidecar == {**_META, "RepetitionTime": 2, "MixingTime": 3, "EchoTime": 0.04}


def test_two_sidecars_of_the_same_rank_must_not_disagree(study):
    study.json("task-cue_svs.json", {"RepetitionTime": 2})
    study.json("acq-press_svs.json", {"RepetitionTime": 3})
    study.image("sub-01/mrs/sub-01_task-cue_acq-press_svs.nii.gz")
    assert study.failure().code == "sidecar-ambiguous"


@pytest.mark.parametrize("key", sorted(_META))
def test_each_required_key_is_asked_for(tmp_path, key):
    study = Dataset(tmp_path)
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {name: value for name, value in _META.items() if name != key})
    failure = study.failure()
    assert failure.code == "sidecar-key"
    assert key in failure.message
    assert failure.cure


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("EchoTime", 32, "echo-time-unit"),
        ("EchoTime", 1, "echo-time-unit"),
        ("EchoTime", "0.032", "sidecar-value"),
        ("EchoTime", -0.1, "sidecar-value"),
        ("RepetitionTime", 2000, "repetition-time-unit"),
        ("SpectrometerFrequency", [127.7e6], "frequency-unit"),
        ("SpectralWidth", True, "sidecar-value"),
    ],
)
def test_a_wrong_unit_or_value_is_refused_and_not_converted(study, key, value, code):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {key: value})
    assert study.failure().code == code


def test_the_cure_of_a_wrong_unit_says_the_right_number(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"EchoTime": 32})
    assert "0.032" in study.failure().cure


@pytest.mark.parametrize("value", [["1H"], "1H"])
def test_a_scalar_and_a_list_of_one_are_the_same(study, value):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ResonantNucleus": value, "EchoTime": [0.03]})
    assert study.one().key.sub == "01"


# Water


def test_the_water_reference_has_the_same_entities(study):
    study.image("sub-01/mrs/sub-01_task-cue_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_task-neutral_mrsref.nii.gz")
    water = study.image("sub-01/mrs/sub-01_task-cue_mrsref.nii.gz")
    scan = study.one()
    assert (scan.water, scan.water_note) == (water, "")


def test_one_reference_without_task_serves_all_tasks_of_its_session(study):
    for task in ("cue", "neutral"):
        study.image(f"sub-01/ses-1/mrs/sub-01_ses-1_task-{task}_svs.nii.gz")
    water = study.image("sub-01/ses-1/mrs/sub-01_ses-1_mrsref.nii.gz")
    study.image("sub-01/ses-2/mrs/sub-01_ses-2_mrsref.nii.gz")
    assert [scan.water for scan in find_scans(study.root).scans] == [water, water]


def test_the_scans_own_reference_comes_before_one_for_all_and_one_for_eddy_currents(study):
    study.image("sub-01/mrs/sub-01_task-cue_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_mrsref.nii.gz")
    study.image("sub-01/mrs/sub-01_task-cue_acq-ecc_mrsref.nii.gz")
    water = study.image("sub-01/mrs/sub-01_task-cue_mrsref.nii.gz")
    assert study.one().water == water


def test_a_reference_of_another_session_or_region_is_not_taken(study):
    study.image("sub-01/ses-1/mrs/sub-01_ses-1_voi-acc_svs.nii.gz")
    study.image("sub-01/ses-2/mrs/sub-01_ses-2_voi-acc_mrsref.nii.gz")
    study.image("sub-01/ses-1/mrs/sub-01_ses-1_voi-pcc_mrsref.nii.gz")
    scan = study.one()
    assert scan.water is None
    assert scan.water_note == "no water reference"


def test_two_references_that_fit_are_both_named_with_the_cure(study):
    study.image("sub-01/mrs/sub-01_task-cue_acq-press_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_task-cue_mrsref.nii.gz")
    study.image("sub-01/mrs/sub-01_acq-press_mrsref.nii.gz")
    failure = study.failure()
    assert failure.code == "water-choice"
    assert "sub-01_task-cue_mrsref" in failure.message
    assert "sub-01_acq-press_mrsref" in failure.message
    assert "ReferenceSignal" in failure.cure


def test_of_a_reference_for_eddy_currents_and_one_for_concentration_the_latter_is_taken(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_acq-ecc_mrsref.nii.gz")
    water = study.image("sub-01/mrs/sub-01_acq-conc_mrsref.nii.gz")
    assert study.one().water == water


def test_a_reference_of_another_acquisition_is_not_taken(study):
    study.image("sub-01/mrs/sub-01_acq-press_svs.nii.gz")
    study.image("sub-01/mrs/sub-01_acq-steam_mrsref.nii.gz")
    assert study.one().water is None


@pytest.mark.parametrize(
    "link",
    [
        "bids::sub-01/mrs/sub-01_acq-x_mrsref.nii.gz",
        "mrs/sub-01_acq-x_mrsref.nii.gz",
        ["sub-01/mrs/sub-01_acq-x_mrsref.nii.gz"],
    ],
)
def test_what_the_sidecar_names_comes_first(study, link):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ReferenceSignal": link})
    study.image("sub-01/mrs/sub-01_mrsref.nii.gz")
    water = study.image("sub-01/mrs/sub-01_acq-x_mrsref.nii.gz")
    assert study.one().water == water


def test_a_named_reference_that_is_not_there_is_told(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ReferenceSignal": "bids::sub-01/mrs/sub-01_mrsref.nii.gz"})
    assert study.failure().code == "water-missing"


def test_a_link_into_another_dataset_is_not_guessed(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ReferenceSignal": "bids:other:sub-01/x_mrsref.nii.gz"})
    assert study.failure().code == "link"


@pytest.mark.parametrize(
    "link", ["bids::../other/sub-01/mrs/sub-01_mrsref.nii.gz", "../../sub-01_mrsref.nii.gz", "/sub-01_mrsref.nii.gz"]
)
def test_a_link_out_of_the_dataset_is_refused(study, link):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ReferenceSignal": link})
    assert study.failure().code == "link"


def test_the_water_of_another_subject_is_refused(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"ReferenceSignal": "bids::sub-02/mrs/sub-02_mrsref.nii.gz"})
    study.image("sub-02/mrs/sub-02_mrsref.nii.gz")
    assert study.failure().code == "water-other-subject"


def test_a_time_that_is_negative_is_refused_with_a_cure(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"EchoTime": -0.03})
    assert study.failure().code == "sidecar-value"
    assert "in s" in study.failure().cure


# Anatomy and tissue


def test_the_anatomy_of_another_subject_is_not_used(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz", {"AnatomicalImage": "bids::sub-02/anat/sub-02_T1w.nii.gz"})
    study.image("sub-01/anat/sub-01_T1w.nii.gz")
    study.image("sub-02/anat/sub-02_T1w.nii.gz")
    scan = study.one()
    assert scan.anatomy is None
    assert "another subject" in scan.anatomy_note


def test_the_t1w_of_the_session_comes_before_that_of_the_subject(study):
    study.image("sub-01/ses-1/mrs/sub-01_ses-1_svs.nii.gz")
    study.image("sub-01/ses-2/mrs/sub-01_ses-2_svs.nii.gz")
    first = study.image("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz")
    assert [scan.anatomy for scan in find_scans(study.root).scans] == [first, first]
    second = study.image("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz")
    assert [scan.anatomy for scan in find_scans(study.root).scans] == [first, second]


def test_of_two_t1w_none_is_guessed_and_the_scan_goes_on(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    first = study.image("sub-01/anat/sub-01_run-1_T1w.nii.gz")
    study.image("sub-01/anat/sub-01_run-2_T1w.nii.gz")
    scan = study.one()
    assert scan.anatomy is None
    assert "AnatomicalImage" in scan.anatomy_note
    study.json("svs.json", {**_META, "AnatomicalImage": "bids::sub-01/anat/sub-01_run-1_T1w.nii.gz"})
    assert study.one().anatomy == first


def _maps(study, folder, stem, labels=("GM", "WM", "CSF")):
    return {label: study.image(f"{folder}/{stem}_label-{label}_probseg.nii.gz") for label in labels}


def test_tissue_maps_without_session_serve_all_sessions(study):
    for ses in ("1", "2"):
        study.image(f"sub-01/ses-{ses}/mrs/sub-01_ses-{ses}_svs.nii.gz")
    maps = _maps(study, "derivatives/seg/sub-01/anat", "sub-01")
    _maps(study, "derivatives/seg/sub-01/anat", "sub-01_space-MNI152NLin2009cAsym")
    assert [scan.tissue_maps for scan in find_scans(study.root).scans] == [maps, maps]


def test_tissue_maps_of_the_session_come_first_and_those_of_another_are_not_taken(study):
    for ses in ("1", "2"):
        study.image(f"sub-01/ses-{ses}/mrs/sub-01_ses-{ses}_svs.nii.gz")
    maps = _maps(study, "derivatives/seg/sub-01/ses-1/anat", "sub-01_ses-1_space-T1w")
    first, second = find_scans(study.root).scans
    assert first.tissue_maps == maps
    assert second.tissue_maps == {}
    assert second.tissue_note == "no tissue maps of this session in seg"


def test_two_folders_with_tissue_maps_are_refused_until_one_is_named(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    maps = _maps(study, "derivatives/a/sub-01/anat", "sub-01")
    _maps(study, "derivatives/b", "sub-01")
    with pytest.raises(ConfigError, match=r"-d a=.* or -d b=") as refused:
        find_scans(study.root)
    assert refused.value.code == "tissue-choice"
    assert study.one(derivatives={"a": study.root / "derivatives" / "a"}).tissue_maps == maps


def test_a_named_folder_that_is_not_there_is_told(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    with pytest.raises(FileError, match="seg="):
        find_scans(study.root, derivatives={"seg": study.root / "nowhere"})


def test_an_incomplete_set_of_tissue_maps_is_not_used(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    _maps(study, "derivatives/seg/sub-01/anat", "sub-01", ("GM", "WM"))
    scan = study.one()
    assert scan.tissue_maps == {}
    assert scan.tissue_note == "no tissue maps of CSF in seg"


def test_two_maps_of_one_tissue_are_refused(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    _maps(study, "derivatives/seg/sub-01/anat", "sub-01_run-1")
    _maps(study, "derivatives/seg/sub-01/anat", "sub-01_run-2")
    assert study.failure().code == "tissue-choice"


def test_without_derivatives_the_reason_is_told(study):
    study.image("sub-01/mrs/sub-01_svs.nii.gz")
    assert study.one().tissue_note == "no tissue maps"


# Selection


@pytest.fixture
def visits(study):
    for sub in ("01", "02"):
        for ses in ("1", "2"):
            for task in ("cue", "neutral"):
                study.image(f"sub-{sub}/ses-{ses}/mrs/sub-{sub}_ses-{ses}_task-{task}_run-01_svs.nii.gz")
    return study


@pytest.mark.parametrize(
    ("selection", "n_scans"),
    [
        (Selection(), 8),
        (Selection(participants=("sub-01",)), 4),
        (Selection(participants=("01",), sessions=("ses-1",), tasks=("cue",)), 1),
        (Selection(filters={"svs": {"session": ["1"], "suffix": "svs"}}), 4),
        (Selection(filters={"SVS": {"run": 1, "task": "cue"}}), 4),
        (Selection(filters={"svs": {"acquisition": None}}), 8),
        (Selection(filters={"mrsref": {"acq": "x"}}), 8),
    ],
)
def test_a_selection_keeps_what_it_names(visits, selection, n_scans):
    assert len(find_scans(visits.root, selection=selection).scans) == n_scans


def test_a_participant_that_is_not_there_is_a_failure(visits):
    failure = visits.failure(selection=Selection(participants=("01", "09")))
    assert failure.row()["participant_id"] == "sub-09"


def test_a_selection_of_nothing_names_what_is_there(visits):
    with pytest.raises(InputError, match="Subjects: 01, 02"):
        find_scans(visits.root, selection=Selection(participants=("09",)))


@pytest.mark.parametrize("filters", [{"bold": {}}, {"svs": {"colour": "red"}}])
def test_an_unknown_filter_is_refused(filters):
    with pytest.raises(ConfigError, match="is not known"):
        Selection(filters=filters)


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_a_folder_without_scans_is_refused_with_the_cure(tmp_path, path):
    with pytest.raises(InputError):
        find_scans(tmp_path / path)


def test_a_study_of_112_scans_is_found_in_less_than_a_second(study):
    for i in range(28):
        for ses in ("1", "2"):
            stem = f"sub-{i:02}/ses-{ses}/mrs/sub-{i:02}_ses-{ses}"
            for task in ("cue", "neutral"):
                study.image(f"{stem}_task-{task}_svs.nii.gz", _META)
            study.image(f"{stem}_mrsref.nii.gz", _META)
        study.image(f"sub-{i:02}/anat/sub-{i:02}_T1w.nii.gz")
        _maps(study, f"derivatives/seg/sub-{i:02}/anat", f"sub-{i:02}")
    # Processor time, so that a busy machine does not fail the test.
    begin = time.process_time()
    scans = find_scans(study.root).scans
    assert time.process_time() - begin < 1
    assert len(scans) == 112
    assert all(scan.water and scan.anatomy and len(scan.tissue_maps) == 3 for scan in scans)


# Reading

_AXIS = SpectralAxis(64, 1 / 2000, 127.7e6, 4.65)
_ACQUISITION = Acquisition(echo_time_s=0.032)


def _written(study, path, meta, *, dims=(), acquisition=_ACQUISITION):
    rng = np.random.default_rng(3)
    shape = (*(2 for _ in dims), 64)
    samples = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    signal = Signal(samples, (*dims, "time"), _AXIS, acquisition)
    write_signal(study.image(path, meta), signal)
    return signal


def test_a_scan_has_the_samples_of_its_files_and_no_tissue_yet(study):
    metabolites = _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {})
    water = _written(study, "sub-01/mrs/sub-01_mrsref.nii.gz", {}, dims=("transient",))
    scan = read_scan(study.one())
    # The file holds 32-bit numbers.
    np.testing.assert_allclose(scan.metabolites.samples, metabolites.samples, rtol=1e-6)
    np.testing.assert_allclose(scan.water.samples, water.samples, rtol=1e-6)
    assert scan.tissue is None
    assert (scan.water_note, scan.tissue_note) == ("", "no tissue maps")


def test_the_acquisition_takes_what_the_sidecar_says(study):
    meta = {
        "RepetitionTime": 2.0,
        "MixingTime": 0.01,
        "MagneticFieldStrength": 3,
        "Manufacturer": "Maker",
        "PulseSequenceType": "semi-LASER",
        "NumberOfTransients": 96,
        "AcquisitionVoxelSize": [20, 25, 30],
        "WaterSuppression": True,
    }
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", meta)
    assert read_scan(study.one()).metabolites.acquisition == Acquisition(
        nucleus="1H",
        field_t=3.0,
        sequence="slaser",
        echo_time_s=0.032,
        repetition_time_s=2.0,
        mixing_time_s=0.01,
        manufacturer="Maker",
        n_transients=96,
        voxel_mm=(20.0, 25.0, 30.0),
        water_suppressed=True,
    )


def test_what_the_sidecar_does_not_say_is_taken_from_the_header(study):
    _written(
        study, "sub-01/mrs/sub-01_svs.nii.gz", {}, acquisition=Acquisition(echo_time_s=0.032, repetition_time_s=3.0)
    )
    assert read_scan(study.one()).metabolites.acquisition.repetition_time_s == 3.0


@pytest.mark.parametrize(
    ("key", "value"),
    [("SpectrometerFrequency", [123.2]), ("SpectralWidth", 2500), ("EchoTime", 0.035)],
)
def test_a_sidecar_that_contradicts_the_header_is_refused(study, key, value):
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {key: value})
    with pytest.raises(HeaderError, match=key) as refused:
        read_scan(study.one())
    assert refused.value.code == "sidecar-header-conflict"


def test_a_nucleus_that_contradicts_the_header_is_refused(study):
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {})
    files = study.one()
    with pytest.raises(HeaderError, match="ResonantNucleus"):
        read_scan(replace(files, sidecar={**files.sidecar, "ResonantNucleus": "31P"}))


def test_the_water_reference_is_checked_as_well(study):
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {})
    _written(study, "sub-01/mrs/sub-01_mrsref.nii.gz", {"SpectralWidth": 4000})
    with pytest.raises(HeaderError, match="sub-01_mrsref"):
        read_scan(study.one())


@pytest.mark.parametrize(("key", "value"), [("SpectrometerFrequency", 127.73), ("EchoTime", 0.0325)])
def test_rounded_numbers_agree(study, key, value):
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {key: value})
    assert read_scan(study.one()).key.sub == "01"


def test_a_metabolite_cycled_scan_brings_its_own_water(study):
    _written(study, "sub-01/mrs/sub-01_svs.nii.gz", {}, dims=("cycle",))
    assert read_scan(study.one()).water_note == "from metabolite cycling"


# Tables of the dataset


def test_participants_are_read_from_their_table(study):
    study.text("participants.tsv", "participant_id\tgroup\tage\nsub-01\tHC\t30\nsub-02\tCAI\tn/a\n")
    table = participants(study.root)
    assert table["group"].tolist() == ["HC", "CAI"]
    assert np.isnan(table["age"][1])


def test_without_a_table_the_participants_are_the_folders(visits):
    assert participants(visits.root)["participant_id"].tolist() == ["sub-01", "sub-02"]


@pytest.mark.parametrize("text", ["id\nsub-01\n", "participant_id\tage\nn/a\t3\n"])
def test_a_table_that_does_not_name_each_participant_is_refused(study, text):
    study.text("participants.tsv", text)
    with pytest.raises(FileError, match=r"participants\.tsv"):
        participants(study.root)


def test_a_participant_of_whom_two_rows_say_different_things_is_in_no_table(study):
    study.text("participants.tsv", "participant_id\tage\nsub-01\t3\nsub-01\t4\nsub-02\t5\nsub-03\t6\nsub-03\t6\n")
    assert participants(study.root)["participant_id"].tolist() == ["sub-02", "sub-03"]
    assert repeated_participants(study.root) == ("01",)


def test_the_sessions_of_all_participants_are_one_table(study):
    study.text("sub-01/sub-01_sessions.tsv", "session_id\tdrug\tcraving\nses-1\tnac\t12\nses-2\tplacebo\tn/a\n")
    study.text("sub-02/sub-02_sessions.tsv", "session_id\tdrug\tcraving\nses-1\tplacebo\tn/a\n")
    table = sessions(study.root)
    assert table[["participant_id", "session_id"]].to_numpy().tolist() == [
        ["sub-01", "ses-1"],
        ["sub-01", "ses-2"],
        ["sub-02", "ses-1"],
    ]
    assert table["craving"].dtype == float


def test_without_session_files_the_table_is_empty(study):
    assert sessions(study.root).columns.tolist() == ["participant_id", "session_id"]
    assert len(sessions(study.root)) == 0


def test_a_session_of_which_two_rows_say_different_things_is_in_no_table(study):
    rows = "ses-1\tnac\nses-1\tplacebo\nses-2\tnac\nses-2\tnac\n"
    study.text("sub-01/sub-01_sessions.tsv", f"session_id\tdrug\n{rows}")
    assert sessions(study.root)["session_id"].tolist() == ["ses-2"]
    assert repeated_sessions(study.root) == {("01", "1")}


# Output folder


@pytest.mark.parametrize("out", ["study", ".", "study/sub-01", "study/sub-01/results", "study/svs.json"])
def test_results_may_not_mix_with_the_data(study, tmp_path, out):
    with pytest.raises(InputError) as refused:
        check_output_dir(study.root, tmp_path / out)
    assert refused.value.code == "output-dir"


@pytest.mark.parametrize("out", ["study/derivatives/mrspipe", "results", "study-results"])
def test_results_may_lie_below_derivatives_or_outside(study, tmp_path, out):
    check_output_dir(study.root, tmp_path / out)


@pytest.mark.parametrize(
    ("makers", "allowed"), [([{"Name": "mrspipe"}], True), ([{"Name": "other"}], False), (None, False)]
)
def test_results_of_another_program_are_not_overwritten(study, makers, allowed):
    study.json("derivatives/x/dataset_description.json", {"Name": "x", "GeneratedBy": makers})
    if allowed:
        check_output_dir(study.root, study.root / "derivatives" / "x")
    else:
        with pytest.raises(InputError):
            check_output_dir(study.root, study.root / "derivatives" / "x")


def test_a_link_to_the_dataset_is_the_dataset(study, tmp_path):
    (tmp_path / "link").symlink_to(study.root)
    with pytest.raises(InputError):
        check_output_dir(study.root, tmp_path / "link")


def test_a_dataset_that_is_moved_is_found_again(visits, tmp_path):
    shutil.move(visits.root, tmp_path / "moved")
    assert len(find_scans(tmp_path / "moved").scans) == 8
