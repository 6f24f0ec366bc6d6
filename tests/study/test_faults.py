import shutil
from dataclasses import replace

import pytest
from study_helpers import edit, make_study, request

from mrspipe.config import with_settings
from mrspipe.core.errors import ConfigError, InputError
from mrspipe.io.bids import Selection
from mrspipe.io.tables import read_table
from mrspipe.pipeline.again import compare_again
from mrspipe.pipeline.plan import plan_study
from mrspipe.pipeline.preflight import check_study
from mrspipe.pipeline.study import analyse_study


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Five participants; each of the first four has another fault."""
    root = make_study(tmp_path_factory.mktemp("broken") / "bids", "single_group", 5)
    scans = [root / f"sub-0{n}" / "mrs" / f"sub-0{n}_svs" for n in range(1, 6)]
    truncate(scans[0].with_name("sub-01_svs.nii.gz"))
    edit(scans[1].with_name("sub-02_svs.json"), EchoTime=32)
    edit(scans[2].with_name("sub-03_svs.json"), SpectrometerFrequency=None)
    for path in scans[3].parent.glob("*_mrsref.*"):
        path.unlink()
    edit(scans[3].with_name("sub-04_svs.json"), ReferenceSignal=None)
    out_dir = root.parent / "out"
    return analyse_study(request(root, out_dir, "single_group")), out_dir


def test_each_fault_is_one_named_failure(broken):
    summary, _ = broken
    found = {failure.entities["sub"]: (failure.stage, failure.code) for failure in summary.failures}
    assert found == {
        "01": ("load", "truncated"),
        "02": ("load", "echo-time-unit"),
        "03": ("load", "sidecar-key"),
    }


def test_each_failure_says_where_and_what_helps(broken):
    rows = read_table(broken[1] / "group" / "failures.tsv").set_index("participant_id")
    assert "sub-01_svs.nii.gz" in rows.loc["sub-01", "message"]
    assert rows.loc["sub-02", "cure"] == "If this is ms, write 0.032."
    assert "SpectrometerFrequency" in rows.loc["sub-03", "message"]
    assert rows["cure"].notna().all()


def test_a_scan_without_water_gives_ratios_and_says_why_there_is_no_more(broken):
    table = read_table(broken[1] / "group" / "measurements.tsv")
    glu = table[(table["participant_id"] == "sub-04") & (table["metabolite"] == "Glu")].set_index("quantity")
    assert glu["value"].notna().to_dict() == {"ratio_tcr": True, "molal": False, "molar": False}
    assert "no water reference" in glu.loc["molar", "reason"]


def test_everything_else_is_analysed(broken):
    table = read_table(broken[1] / "group" / "measurements.tsv")
    glu = table[(table["participant_id"] == "sub-05") & (table["metabolite"] == "Glu")]
    assert glu["value"].notna().all()
    assert (broken[1] / "sub-01.html").exists()


def test_a_scan_that_breaks_after_its_analysis_leaves_the_tables_but_its_results_are_kept_aside(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    analyse_study(asked)
    truncate(study / "sub-02" / "mrs" / "sub-02_svs.nii.gz")
    assert len(analyse_study(asked).failures) == 1
    table = read_table(tmp_path / "out" / "group" / "measurements.tsv")
    assert "sub-02" not in set(table["participant_id"])
    assert list((tmp_path / "out" / "logs" / "outdated").rglob("sub-02_desc-conc_mrs.tsv"))
    assert not list((tmp_path / "out" / "sub-02").rglob("*_conc_mrs.tsv"))


def test_a_repaired_scan_is_no_failure_any_more(study, pairs_study, tmp_path):
    scan = study / "sub-02" / "mrs" / "sub-02_svs.nii.gz"
    asked = request(study, tmp_path / "out", "two_groups")
    truncate(scan)
    assert len(analyse_study(asked).failures) == 1
    shutil.copy(pairs_study / "sub-02" / "mrs" / scan.name, scan)
    assert analyse_study(asked).failures == ()
    assert len(read_table(tmp_path / "out" / "group" / "failures.tsv")) == 0


def test_participants_without_their_prefix_are_refused_before_anything_is_computed(study):
    table = study / "participants.tsv"
    table.write_text(table.read_text().replace("sub-", ""))
    with pytest.raises(InputError, match="participant_id '01' does not begin with 'sub-'"):
        plan_study(request(study, study.parent / "out", "two_groups"))


def test_a_label_that_was_wrong_once_is_forgotten(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    wrong = replace(asked, selection=Selection(participants=("99", "01")))
    assert [failure.code for failure in analyse_study(wrong).failures] == ["no-scan"]
    assert analyse_study(asked).failures == ()


def test_a_broken_scan_that_was_removed_is_no_failure_any_more(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    truncate(study / "sub-02" / "mrs" / "sub-02_svs.nii.gz")
    assert len(analyse_study(asked).failures) == 1
    one = replace(asked, selection=Selection(participants=("01",)))
    assert analyse_study(one).failures == ()
    (study / "sub-02" / "mrs" / "sub-02_svs.nii.gz").unlink()
    assert analyse_study(asked).failures == ()


def test_results_of_other_settings_do_not_enter_the_tables(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    analyse_study(asked)
    other = replace(asked, config=with_settings(asked.config, "fit", range_ppm=(0.5, 4.2)))
    analyse_study(replace(other, selection=Selection(participants=("01",))))
    table = read_table(tmp_path / "out" / "group" / "measurements.tsv")
    assert set(table["participant_id"]) == {"sub-01"}


def test_scans_of_two_voxels_in_a_visit_are_not_averaged_silently(study):
    for path in (study / "sub-01" / "mrs").iterdir():
        shutil.copy(path, path.with_name(path.name.replace("sub-01_", "sub-01_voi-other_")))
    with pytest.raises(ConfigError, match="several acquisitions or voxels"):
        plan_study(request(study, study.parent / "out", "two_groups"))


def test_an_error_that_nobody_foresaw_is_a_failure_with_a_report(study, tmp_path, monkeypatch):
    def broken_step(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("mrspipe.pipeline.scan.preprocess", broken_step)
    summary = analyse_study(request(study, tmp_path / "out", "two_groups"))
    assert {(failure.stage, failure.code) for failure in summary.failures} == {("preprocess", "crash")}
    assert "ZeroDivisionError" in (tmp_path / "out" / "logs" / "crash-sub-01.txt").read_text()


def test_the_output_may_not_be_the_dataset(study):
    with pytest.raises((InputError, ConfigError), match="bids"):
        plan_study(request(study, study, "two_groups"))


def test_a_missing_basis_file_is_noticed_before_anything_is_written(study, tmp_path):
    asked = request(study, tmp_path / "out", "two_groups")
    asked = replace(asked, config=with_settings(asked.config, "basis", file="nowhere.basis"))
    with pytest.raises(InputError, match=r"nowhere\.basis"):
        analyse_study(asked)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("PAT", "pat"), r"no row has group 'PAT'; there is 'HC', 'pat'\. Did you mean 'pat'\?"),
        (("PAT", "relatives"), "no row has group 'PAT'; there is 'HC', 'relatives'"),
        (("group", "Gruppe"), "names the column 'group', which is not in participants.tsv or the sessions files"),
    ],
)
def test_a_level_or_column_that_the_study_does_not_have_stops_run_and_check_before_anything_is_computed(
    study, tmp_path, change, message
):
    table = study / "participants.tsv"
    table.write_text(table.read_text().replace(*change))
    asked = request(study, tmp_path / "out", "two_groups")
    with pytest.raises(ConfigError, match=message):
        analyse_study(asked)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=message):
        check_study(study, asked.config, Selection(), {})


def test_a_session_that_no_scan_has_is_named(study, tmp_path):
    asked = request(study, tmp_path / "out", "pre_post")
    with pytest.raises(ConfigError, match=r"design\.time: no row has session 'pre'; the column is empty"):
        plan_study(asked)


def test_levels_are_those_of_the_whole_study_and_not_of_the_selection(study, tmp_path):
    one = replace(request(study, tmp_path / "out", "two_groups"), selection=Selection(participants=("01",)))
    assert len(plan_study(one).files.scans) == 1


def test_another_design_for_the_same_tables_is_checked_too(analysed, tmp_path):
    (tmp_path / "other.toml").write_text('[design]\ngroup = { control = "HC", patient = "patients" }\n')
    before = (analysed / "config.toml").read_bytes()
    with pytest.raises(ConfigError, match=r"measurements\.tsv: design\.group: no row has group 'patients'"):
        compare_again(analysed, str(tmp_path / "other.toml"))
    assert (analysed / "config.toml").read_bytes() == before
