"""A folder of one good scan and of scans that are each broken in another way: none is analysed silently."""

import gzip
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from study_helpers import make_study, request

from mrspipe.checks.catalogue import Finding, catalogue
from mrspipe.config import StudyConfig, with_settings
from mrspipe.console import Console
from mrspipe.core.operators import shifted
from mrspipe.engine import Workers
from mrspipe.io.bids import Selection, find_scans
from mrspipe.io.file_hashes import FileHashes
from mrspipe.io.nifti_files import load_nifti
from mrspipe.io.nifti_mrs import read_extension, read_signal, write_signal
from mrspipe.io.tables import read_table
from mrspipe.pipeline.marks import Marks
from mrspipe.pipeline.plan import preview_study
from mrspipe.pipeline.preflight import check_scans, check_study
from mrspipe.pipeline.study import analyse_study


class Subject:
    """Files of one participant, copied from a good one, with samples that are its own."""

    def __init__(self, root, label, source, scale):
        self.root, self.label = root, label
        self.folder, self.mrs = root / f"sub-{label}", root / f"sub-{label}" / "mrs"
        for part in ("", "derivatives/tissue/"):
            for old in (root / part / f"sub-{source}").rglob("*"):
                if old.is_file():
                    new = self.folder.parent / part / old.relative_to(root / part).as_posix().replace(source, label)
                    new.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(old, new)
        self.svs, self.ref = (self.mrs / f"sub-{label}_{kind}.nii.gz" for kind in ("svs", "mrsref"))
        self.sidecar = self.mrs / f"sub-{label}_svs.json"
        self.t1w = self.folder / "anat" / f"sub-{label}_T1w.nii.gz"
        self.tell(ReferenceSignal=[f"bids::sub-{label}/mrs/{self.ref.name}"], AnatomicalImage=None)
        for path in (self.svs, self.ref):
            self.change(path, lambda signal: replace(signal, samples=scale * signal.samples))

    def change(self, path, function):
        write_signal(path, function(read_signal(path)), extra_header=read_extension(path))

    def samples(self, function, path=None):
        self.change(path or self.svs, lambda signal: replace(signal, samples=function(signal.samples)))

    def axis(self, path, **changes):
        self.change(path, lambda signal: replace(signal, axis=replace(signal.axis, **changes)))

    def tell(self, path=None, **changes):
        path = path or self.sidecar
        content = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))

    def image(self, function, path=None, dtype=None):
        """Change the array of an image as nibabel writes it, past all checks of mrspipe."""
        path = path or self.svs
        image = load_nifti(path)
        data = function(np.asarray(image.dataobj).copy())
        header = image.header.copy()
        header.set_data_dtype(dtype or data.dtype)
        path.write_bytes(gzip.compress(type(image)(data, image.affine, header).to_bytes()))

    def bytes(self, function):
        self.svs.write_bytes(gzip.compress(function(bytearray(gzip.decompress(self.svs.read_bytes())))))

    def move(self, path, mm):
        def moved(signal):
            affine = signal.affine.copy()
            affine[:3, 3] += mm
            return replace(signal, affine=affine)

        self.change(path, moved)


def _put(array, value):
    array[0, 0, 0, 5] = value
    return array


def _dims(*lengths):
    # NIfTI-2: dim[0] is at byte 16, eight bytes each.
    def change(content):
        content[16:24] = len(lengths).to_bytes(8, "little")
        for n, length in enumerate(lengths, start=1):
            content[16 + 8 * n : 24 + 8 * n] = length.to_bytes(8, "little", signed=True)
        return bytes(content)

    return change


def _swap(s):
    s.svs.rename(s.mrs / "x")
    s.ref.rename(s.svs)
    (s.mrs / "x").rename(s.ref)


def _second_run(s):
    for path in list(s.mrs.iterdir()):
        new = path.with_name(path.name.replace("_svs", "_run-2_svs").replace("_mrsref", "_run-2_mrsref"))
        shutil.copy(path, new)
    s.tell(s.mrs / f"sub-{s.label}_run-2_svs.json", ReferenceSignal=None)


def _header(s, **changes):
    signal = read_signal(s.svs)
    write_signal(s.svs, signal, extra_header={**read_extension(s.svs), **changes})


def _phosphorus(s):
    content = gzip.decompress(s.svs.read_bytes())
    s.svs.write_bytes(gzip.compress(content.replace(b'"ResonantNucleus": ["1H"]', b'"ResonantNucleus": ["31"]')))


def _gm(s):
    return next((s.root / "derivatives" / "tissue" / f"sub-{s.label}").rglob("*label-GM*probseg.nii.gz"))


def _other_grid(s):
    path = next((s.root / "derivatives" / "tissue" / f"sub-{s.label}").rglob("*label-WM*probseg.nii.gz"))
    s.image(lambda data: data[:-1], path)


def _far_reference(s):
    s.move(s.ref, (40, 0, 0))


def _other_magnet(s):
    s.axis(s.ref, spectrometer_hz=123.2e6)
    s.tell(s.mrs / f"sub-{s.label}_mrsref.json", SpectrometerFrequency=[123.2])


def _width(s, path, factor):
    s.axis(path, dwell_s=read_signal(path).axis.dwell_s * factor)
    s.tell(path.with_name(path.name.replace(".nii.gz", ".json")), SpectralWidth=read_signal(path).axis.bandwidth_hz)


_GOOD_T1W = "sub-good/anat/sub-good_T1w.nii.gz"
REFUSED = {
    "truncated": ("truncated", lambda s: s.svs.write_bytes(s.svs.read_bytes()[: s.svs.stat().st_size // 2])),
    "empty": ("truncated", lambda s: s.svs.write_bytes(b"")),
    "nogz": ("not-nifti", lambda s: s.svs.write_bytes(b"this is not a compressed file")),
    "gzoftext": ("not-nifti", lambda s: s.svs.write_bytes(gzip.compress(b"no header" * 100))),
    "nan": ("not-finite", lambda s: s.image(lambda a: _put(a, np.nan))),
    "inf": ("not-finite", lambda s: s.image(lambda a: _put(a, np.inf))),
    "flat": ("wrong-shape", lambda s: s.image(lambda a: a[..., 0])),
    "voxels": ("mrsi", lambda s: s.image(lambda a: np.repeat(a, 2, axis=0))),
    "real": ("not-complex", lambda s: s.image(lambda a: a.real.astype(np.float32))),
    "image": ("not-nifti-mrs", lambda s: shutil.copy(s.t1w, s.svs)),
    "hugedims": ("truncated", lambda s: s.bytes(_dims(2**21, 2**21, 2**21, 2**21))),
    "wrapdims": ("truncated", lambda s: s.bytes(_dims(2**16, 2**16, 2**16, 2**16))),
    "minusdims": ("not-nifti", lambda s: s.bytes(_dims(1, 1, -1, -2048))),
    "zeros": ("no-signal", lambda s: s.samples(np.zeros_like)),
    "nosidecar": ("sidecar-key", lambda s: s.sidecar.unlink()),
    "notjson": ("json", lambda s: s.sidecar.write_text("{'EchoTime': 0.03,")),
    "list": ("json", lambda s: s.sidecar.write_text("[1]")),
    "latin": ("json", lambda s: s.sidecar.write_bytes('{"Name": "Zürich"}'.encode("latin-1"))),
    "nokey": ("sidecar-key", lambda s: s.tell(SpectralWidth=None)),
    "phosphorus": ("nucleus", _phosphorus),
    "minuste": ("sidecar-value", lambda s: s.tell(EchoTime=-0.03)),
    "tems": ("echo-time-unit", lambda s: s.tell(EchoTime=35)),
    "teconflict": ("sidecar-header-conflict", lambda s: s.tell(EchoTime=0.000035)),
    "trms": ("repetition-time-unit", lambda s: s.tell(RepetitionTime=2000)),
    "trtiny": ("repetition-time-small", lambda s: s.tell(RepetitionTime=0.002)),
    "hz": ("frequency-unit", lambda s: s.tell(SpectrometerFrequency=[127.7e6])),
    "mhz": ("sidecar-header-conflict", lambda s: s.tell(SpectrometerFrequency=[123.2])),
    "width": ("sidecar-header-conflict", lambda s: s.tell(SpectralWidth=2.0)),
    "tesla": ("field-frequency", lambda s: s.tell(MagneticFieldStrength=7)),
    "narrow": ("bandwidth", lambda s: _width(s, s.svs, 5)),
    "twicelisted": ("participant-twice", lambda s: None),
    "escapes": ("link", lambda s: s.tell(ReferenceSignal="bids::../elsewhere/sub-01_mrsref.nii.gz")),
    "nowhere": ("water-missing", lambda s: s.tell(ReferenceSignal=f"bids::sub-{s.label}/mrs/no_mrsref.nii.gz")),
    "foreign": ("water-other-subject", lambda s: s.tell(ReferenceSignal="bids::sub-good/mrs/sub-good_mrsref.nii.gz")),
    "badref": ("truncated", lambda s: s.ref.write_bytes(s.ref.read_bytes()[:500])),
    "packed": ("duplicate", lambda s: s.svs.with_suffix("").write_bytes(gzip.decompress(s.svs.read_bytes()))),
    "misplaced": ("wrong-folder", lambda s: s.svs.rename(s.mrs / "sub-else_svs.nii.gz")),
    "conjugated": ("conjugated", lambda s: s.samples(np.conj)),
    "swapped": ("swapped", _swap),
    "suppressed": ("reference-suppressed", lambda s: s.ref.write_bytes(s.svs.read_bytes())),
    "faint": ("reference-small", lambda s: s.samples(lambda a: a / 1e4, s.ref)),
    "othermagnet": ("reference-field", _other_magnet),
    "faraway": ("reference-voxel", _far_reference),
    "copy": ("same-samples", _second_run),
    "alice": ("same-samples-subjects", lambda s: None),
    "bob": ("same-samples-subjects", lambda s: shutil.copy(s.root / "sub-alice/mrs/sub-alice_svs.nii.gz", s.svs)),
}  # fmt: skip
TOLD = {
    "grids": ("tissue-maps", _other_grid),
    "brokenmap": ("tissue-maps", lambda s: _gm(s).write_bytes(b"")),
    "outside": ("voxel-outside", lambda s: [s.move(path, (0, 0, 500)) for path in (s.svs, s.ref)]),
    "otherbrain": ("anatomy-other-subject", lambda s: s.tell(AnatomicalImage=f"bids::{_GOOD_T1W}")),
    "dark": ("voxel-in-air", lambda s: s.image(lambda a: (1e4 * (np.indices(a.shape)[0] < 3)).astype(a.dtype), s.t1w)),
    "badanatomy": ("anatomy-unreadable", lambda s: s.t1w.write_bytes(b"")),
    "short": ("reference-points", lambda s: s.change(s.ref, lambda w: replace(
        w, samples=w.samples[..., :512], axis=replace(w.axis, n_points=512)))),
    "unlisted": ("participant-unlisted", lambda s: None),
    "off": ("ppm-offset", lambda s: s.change(s.svs, lambda m: replace(
        m, samples=shifted(m.samples, m.axis, 0.2 * m.axis.hz_per_ppm)))),
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = make_study(tmp_path_factory.mktemp("faults") / "bids", "single_group", 1)
    for path in root.glob("sub-01/mrs/*.nii.gz"):
        signal = read_signal(path)
        if "transient" in signal.dims:
            averaged = signal.samples.mean(axis=signal.dims.index("transient"))
            write_signal(path, replace(signal, samples=averaged, dims=("time",)), extra_header=read_extension(path))
    faults = {"good": ("", lambda s: None), **REFUSED, **TOLD}
    for n, (label, (_, spoil)) in enumerate(faults.items()):
        spoil(Subject(root, label, "01", 1 + n / 1000))
    phosphorus = Subject(root, "skipped", "01", 1.5)
    phosphorus.tell(ResonantNucleus=["31P"])
    for folder in (root, root / "derivatives" / "tissue"):
        shutil.rmtree(folder / "sub-01")
    lines = (root / "participants.tsv").read_text().splitlines()
    rows = [lines[1].replace("sub-01", f"sub-{label}") for label in faults if label != "unlisted"]
    twice = rows[0].replace("sub-good", "sub-twicelisted").split("\t")
    rows.append("\t".join([twice[0], *("99" if cell.replace(".", "").isdecimal() else cell for cell in twice[1:])]))
    (root / "participants.tsv").write_text("\n".join([*lines, *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def run(dataset):
    asked = request(dataset, dataset.parent / "out", "single_group")
    # Only the good scan and a few doubtful ones go through the fit: the rest of the doubtful ones would as well.
    labels = {"good", "grids", "dark", "unlisted", "else", *REFUSED} - {"misplaced"}
    asked = replace(asked, selection=Selection(participants=tuple(labels)))
    return analyse_study(asked), asked


def test_every_broken_scan_is_refused_with_its_code(run):
    summary, _ = run
    found = {failure.entities["sub"]: failure.code for failure in summary.failures}
    found["misplaced"] = found.pop("else")
    assert found == {label: code for label, (code, _) in REFUSED.items()}


def test_each_refusal_says_what_and_the_cure(run):
    assert [failure for failure in run[0].failures if not failure.message or not failure.cure] == []


def test_the_others_are_analysed_and_nothing_else_is(run):
    table = read_table(run[1].out_dir / "group" / "measurements.tsv")
    assert set(table["participant_id"]) == {"sub-good", "sub-grids", "sub-dark", "sub-unlisted"}
    good = table[(table["participant_id"] == "sub-good") & (table["metabolite"] == "Glu")]
    assert good["value"].notna().all()


def test_every_doubt_is_told_and_refuses_nothing(dataset):
    report = check_study(dataset, StudyConfig(), Selection(participants=tuple(TOLD)), {})
    found = {finding.where.removeprefix("sub-"): finding.code for finding in report.doubts if finding.where}
    assert found == {label: code for label, (code, _) in TOLD.items()}
    assert report.failures == ()


def test_what_was_found_is_in_a_table_and_on_the_screen(run, capsys):
    summary, asked = run
    rows = read_table(asked.out_dir / "group" / "checks.tsv").set_index("scan")
    assert rows.loc["sub-conjugated", "outcome"] == "refused"
    assert rows.loc["sub-grids", "outcome"] == "doubt"
    Console().study(summary)
    printed = capsys.readouterr()
    assert "Doubt (tissue-maps): sub-grids: " in printed.out
    assert "Failed: sub-swapped (check, swapped): " in printed.err


def test_another_nucleus_is_left_out_with_the_reason(dataset):
    assert [reason for _, reason in find_scans(dataset).skipped] == ["31P is not analysed, only 1H"]


def test_check_and_run_refuse_the_same(run, dataset):
    _, asked = run
    report = check_study(dataset, asked.config, asked.selection, {})
    assert sorted(f.row()["message"] for f in report.failures) == sorted(f.row()["message"] for f in run[0].failures)


def test_a_dry_run_knows_what_will_be_refused(dataset, tmp_path):
    asked = request(dataset, tmp_path / "out", "single_group")
    asked = replace(asked, selection=Selection(participants=("good", "conjugated")))
    plan = preview_study(asked)
    assert [job.files.key.sub for job in plan.waiting] == ["good"]
    assert not (tmp_path / "out").exists()


def test_a_refusal_can_be_accepted_and_that_is_recorded(dataset, tmp_path):
    asked = request(dataset, tmp_path / "out", "single_group")
    asked = replace(asked, selection=Selection(participants=("conjugated", "faint")))
    accepted = replace(asked, config=with_settings(asked.config, "checks", accept=["conjugated:sub-conjugated"]))
    summary = analyse_study(accepted)
    assert [failure.code for failure in summary.failures] == ["reference-small"]
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert provenance["AcceptedChecks"][0].startswith("conjugated: sub-conjugated: ")
    assert "overridden: conjugated:sub-conjugated" in (tmp_path / "out" / "methods.md").read_text()
    assert "overridden in the settings" in (tmp_path / "out" / "sub-conjugated.html").read_text()
    # Without the override the results that were made with it do not stay.
    assert len(analyse_study(asked).failures) == 2
    assert not list((tmp_path / "out" / "sub-conjugated").rglob("*conc_mrs.tsv"))


def test_a_scan_is_not_read_again_when_its_files_are_the_same(dataset, tmp_path, monkeypatch):
    files = find_scans(dataset, selection=Selection(participants=("good",)))
    first = checked(files, tmp_path)
    monkeypatch.setattr("mrspipe.pipeline.examine.read_scan", None)
    assert checked(files, tmp_path) == first


def checked(files, out_dir, others=()):
    config = StudyConfig()
    with Workers(1) as workers:
        marks = Marks(config, FileHashes())
        return check_scans(files, config, workers, out_dir=out_dir, marks=marks, others=others)


def test_a_copy_is_found_when_the_other_scan_was_checked_in_an_earlier_run(dataset, tmp_path):
    one, other = (find_scans(dataset, selection=Selection(participants=(name,))) for name in ("alice", "bob"))
    both = (*one.scans, *other.scans)
    assert checked(one, tmp_path, both).refused == {}
    refused = checked(other, tmp_path, both).refused
    assert [failure.code for failure in refused.values()] == ["same-samples-subjects"]


def test_a_copy_that_was_replaced_since_does_not_count(good_alone, tmp_path):
    s = good_alone
    own = s.svs.read_bytes()
    s.svs.write_bytes((s.root / "sub-good" / "mrs" / "sub-good_svs.nii.gz").read_bytes())
    out, everything = tmp_path / "out", find_scans(s.root)
    assert len(checked(everything, out).refused) == 2
    s.svs.write_bytes(own)
    one = find_scans(s.root, selection=Selection(participants=("good",)))
    assert checked(one, out, find_scans(s.root).scans).refused == {}


def test_many_scans_with_one_doubt_are_one_line(capsys):
    Console().findings([Finding("ppm-offset", "The spectrum is off.", f"sub-{n}") for n in range(9)])
    assert capsys.readouterr().out.startswith("Doubt (ppm-offset): 9 scans (sub-0, sub-1, sub-2, ...): The spectrum")


@pytest.fixture
def good_alone(dataset, tmp_path):
    """The good participant in a dataset of her own, and the label again as a subject that can be changed."""
    root = tmp_path / "alone"
    for part in ("sub-good", "derivatives/tissue/sub-good"):
        shutil.copytree(dataset / part, root / part)
    return Subject(root, "two", "good", 2.0)


def told(root):
    return {finding.code: finding.text for finding in check_study(root, StudyConfig(), Selection(), {}).doubts}


def test_labels_that_were_blended_are_a_doubt_and_name_the_file(good_alone):
    s = good_alone
    image = _gm(s)
    labels = image.with_name("sub-two_T1w_synthseg.nii.gz")
    shutil.copy(image, labels)
    for path in image.parent.glob("*probseg.nii.gz"):
        path.unlink()
    s.image(lambda a: (3.5 * (a > 0)).astype(np.float32), labels)
    assert labels.name in told(s.root)["tissue-labels"]


def test_a_reference_that_several_scans_use_is_a_note(good_alone):
    s = good_alone
    s.svs.rename(s.mrs / "sub-two_run-1_svs.nii.gz")
    s.sidecar.rename(s.mrs / "sub-two_run-1_svs.json")
    for path in list(s.mrs.glob("*run-1*")):
        shutil.copy(path, path.with_name(path.name.replace("run-1", "run-2")))
    s.samples(lambda a: 1.1 * a, s.mrs / "sub-two_run-2_svs.nii.gz")
    assert told(s.root)["water-shared"] == "sub-two_mrsref.nii.gz serves sub-two_run-1, sub-two_run-2."


def test_a_field_without_relaxation_times_is_a_doubt(good_alone):
    s = good_alone
    s.tell(MagneticFieldStrength=7, SpectrometerFrequency=[298.0], SpectralWidth=5000.0)
    s.axis(s.svs, spectrometer_hz=298e6, dwell_s=1 / 5000)
    s.change(s.svs, lambda m: replace(m, acquisition=replace(m.acquisition, field_t=7.0)))
    s.ref.unlink()
    s.tell(ReferenceSignal=None)
    found = told(s.root)
    assert "1 scan is of 7 T" in found["no-constants"]
    assert "sub-two" in found["no-water"]


def test_one_image_for_the_positions_of_several_sessions_is_a_doubt(good_alone):
    s = good_alone
    for n, session in enumerate(("1", "2")):
        for path in s.mrs.iterdir():
            new = s.folder / f"ses-{session}" / "mrs" / path.name.replace("sub-two_", f"sub-two_ses-{session}_")
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, new)
        folder = s.folder / f"ses-{session}" / "mrs"
        s.tell(folder / f"sub-two_ses-{session}_svs.json", ReferenceSignal=None)
        s.samples(lambda a, n=n: (1.2 + n / 10) * a, folder / f"sub-two_ses-{session}_svs.nii.gz")
    shutil.rmtree(s.mrs)
    assert told(s.root)["anatomy-other-session"].startswith("2 scans")


def test_every_code_of_these_tests_is_in_the_catalogue():
    assert {code for code, _ in (*REFUSED.values(), *TOLD.values())} <= set(catalogue())
