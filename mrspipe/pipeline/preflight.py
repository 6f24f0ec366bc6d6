"""What is wrong or doubtful in a dataset, before anything is computed: the checks of ``mrspipe check`` and of a run."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrspipe.checks.catalogue import Finding
from mrspipe.config import StudyConfig
from mrspipe.core.errors import MrspipeError
from mrspipe.core.results import Failure
from mrspipe.core.signal import ScanKey
from mrspipe.engine import Progress, Workers, counted
from mrspipe.io.bids import (
    ScanFiles,
    Selection,
    StudyFiles,
    find_scans,
    participants,
    repeated_participants,
    repeated_sessions,
    sessions,
)
from mrspipe.io.names import parse_name
from mrspipe.io.pairing import OTHER_ANATOMY
from mrspipe.io.tables import MISSING, read_table, table_of, write_table
from mrspipe.physics.relaxation import FIELD_T, is_tabulated
from mrspipe.pipeline.basis import read_basis_once
from mrspipe.pipeline.examine import ExamineJob, ScanReport, examine, read_report, unexamined
from mrspipe.pipeline.labels import refuse_unknown_labels
from mrspipe.pipeline.marks import Marks
from mrspipe.quantify.reference import all_times_stated
from mrspipe.stats.questions import resolve_contrasts

_HEADER = tuple[str, str, str, str]
_COLUMNS = {
    "scan": "Name of the scan; n/a for what concerns the study.",
    "outcome": "refused, accepted (the settings override it), doubt or note.",
    "code": "Short name of the problem.",
    "message": "What was found.",
    "cure": "What to do about it.",
}


@dataclass(frozen=True, slots=True)
class StudyChecks:
    """What was found in the scans of a study.

    Parameters
    ----------
    reports : tuple of ScanReport
        In the order of the scans.
    findings : tuple of Finding
        Of the scans and of the study; what the settings override is marked.
    refused : mapping of ScanKey to Failure
        Scans that must not be analysed.
    """

    reports: tuple[ScanReport, ...]
    findings: tuple[Finding, ...]
    refused: Mapping[ScanKey, Failure]

    @property
    def accepted(self) -> tuple[str, ...]:
        """What would be refused without the settings, a line each."""
        return tuple(f"{one.code}: {one.where}: {one.text}" for one in self.findings if one.accepted)

    @property
    def told(self) -> tuple[Finding, ...]:
        """What does not refuse a scan."""
        return tuple(finding for finding in self.findings if not finding.refuses)


@dataclass(frozen=True, slots=True)
class Preflight:
    """What ``mrspipe check`` shows.

    Parameters
    ----------
    rows : tuple
        Per scan that can be analysed: label, water reference, anatomy, tissue maps (names, or why not).
    doubts : tuple of Finding
    failures : tuple of Failure
    skipped : tuple
        Files that are not analysed, with the reason.
    """

    rows: tuple[_HEADER, ...]
    doubts: tuple[Finding, ...]
    failures: tuple[Failure, ...]
    skipped: tuple[tuple[Path, str], ...]


def check_study(
    bids_dir: Path, config: StudyConfig, selection: Selection, derivatives: Mapping[str, Path]
) -> Preflight:
    """Read every scan's header and samples, and look for what would go wrong.

    Raises
    ------
    MrspipeError
        The dataset as a whole cannot be used.
    """
    read_basis_once(config.basis)
    resolve_contrasts(config.design, config.contrast)
    files = find_scans(bids_dir, selection=selection, derivatives=derivatives)
    everything = files if selection == Selection() else find_scans(bids_dir, derivatives=derivatives)
    refuse_unknown_labels(everything, config.design)
    with Workers(config.engine, sparing=True) as workers:
        checks = check_scans(files, config, workers, try_basis=True)
    good = [pair for pair in zip(files.scans, checks.reports, strict=True) if pair[0].key not in checks.refused]
    return Preflight(
        rows=tuple(_row(one, report) for one, report in good),
        doubts=checks.told,
        failures=(*files.failures, *checks.refused.values()),
        skipped=files.skipped,
    )


def _row(files: ScanFiles, report: ScanReport) -> _HEADER:
    water = files.water.name if files.water else report.water_note
    anatomy = files.anatomy.name if files.anatomy else files.anatomy_note
    tissue = files.tissue_maps["GM"].parent.as_posix() if files.tissue_maps else files.tissue_note
    return files.key.label, water, anatomy, tissue


def check_scans(
    files: StudyFiles,
    config: StudyConfig,
    workers: Workers,
    *,
    out_dir: Path | None = None,
    marks: Marks | None = None,
    others: Iterable[ScanFiles] = (),
    progress: Progress = lambda *_: None,
    try_basis: bool = False,
) -> StudyChecks:
    """Check the scans of a study, each on its own and against each other.

    Parameters
    ----------
    files : StudyFiles
    config : StudyConfig
    workers : Workers
    out_dir : Path, optional
        Where the reports of single scans are kept and found again.
    marks : Marks, optional
        Tells whether a report is of the files as they are; without it none is taken up or kept.
    others : iterable of ScanFiles, optional
        Scans of the dataset that are not checked now, but may have a report there, to be compared with.
    progress : callable, optional
    try_basis : bool, optional
        Also find out whether each scan's basis set can be made.
    """
    basis = config.basis if try_basis else None
    mark_of = {one.key: marks.checks(one) if marks else "" for one in files.scans}
    known = {} if out_dir is None or marks is None or try_basis else _known(out_dir, files.scans, mark_of)
    keep_in = out_dir if marks else None
    jobs = [ExamineJob(one, keep_in, mark_of[one.key], basis) for one in files.scans if one.key not in known]
    done = counted(progress, "Checks", len(jobs))
    examined = workers.run(examine, jobs, lost=unexamined, done=done)
    known |= {report.key: report for report in examined}
    reports = tuple(known[one.key] for one in files.scans)
    not_asked = [one for one in others if one.key not in known]
    kept = _kept(out_dir, marks, not_asked, reports) if out_dir and marks else []
    found = [replace(finding, where=report.key.label) for report in reports for finding in report.findings]
    found += _copies(reports, kept)
    found += _of_files(files)
    found = [_judged(finding, config) for finding in found]
    refused = {report.key: report.failure for report in reports if report.failure is not None}
    by_label = {report.key.label: report.key for report in reports}
    for finding in found:
        if finding.refuses and by_label[finding.where] not in refused:
            refused[by_label[finding.where]] = _failure(by_label[finding.where], finding)
    usable = [(one, r) for one, r in zip(files.scans, reports, strict=True) if r.key not in refused]
    return StudyChecks(reports, (*found, *_of_study(files, usable, config)), refused)


def _known(out_dir: Path, scans: Iterable[ScanFiles], mark_of: Mapping[ScanKey, str]) -> dict[ScanKey, ScanReport]:
    """Reports of an earlier run that are of the files as they are."""
    kept = ((one.key, read_report(out_dir, one.key, mark_of[one.key])) for one in scans)
    return {key: report for key, report in kept if report is not None}


def _kept(out_dir: Path, marks: Marks, others: Iterable[ScanFiles], reports: Sequence[ScanReport]) -> list[ScanReport]:
    """Reports of other scans with the same samples, if they are still of the files as they are."""
    samples = {report.samples for report in reports}
    kept = ((one, read_report(out_dir, one.key)) for one in others)
    alike = [(one, report) for one, report in kept if report is not None and report.samples in samples]
    return [report for one, report in alike if read_report(out_dir, one.key, marks.checks(one)) is not None]


def _judged(finding: Finding, config: StudyConfig) -> Finding:
    return replace(finding, accepted=finding.refuses and config.checks.accepts(finding.code, finding.where))


def _failure(key: ScanKey, finding: Finding) -> Failure:
    return Failure(key.entities, "check", finding.code, finding.text, finding.check.cure)


def _copies(reports: Sequence[ScanReport], others: Sequence[ScanReport]) -> Iterator[Finding]:
    """Scans whose samples are those of another scan; each of them is named, because any may be the copy."""
    alike: dict[str, list[ScanKey]] = defaultdict(list)
    for report in (*reports, *others):
        alike[report.samples].append(report.key)
    for report in reports:
        # A scan of zeros has a finding of its own.
        empty = any(finding.code == "no-signal" for finding in report.findings)
        twins = [key for key in alike[report.samples] if key != report.key] if report.samples and not empty else []
        if twins:
            code = "same-samples" if all(key.sub == report.key.sub for key in twins) else "same-samples-subjects"
            names = ", ".join(key.label for key in twins)
            yield Finding(code, f"The samples are those of {names}.", report.key.label)


def _of_files(files: StudyFiles) -> Iterator[Finding]:
    """What names and tables say about single scans."""
    repeated, listed = _listed(files.root)
    visits = _repeated_visits(files.root)
    for one in files.scans:
        label = one.key.label
        if one.key.sub in repeated:
            yield Finding("participant-twice", f"sub-{one.key.sub} has several rows that differ.", label)
        elif listed is not None and one.key.sub not in listed:
            yield Finding("participant-unlisted", f"participants.tsv does not list sub-{one.key.sub}.", label)
        if (one.key.sub, one.key.ses) in visits:
            text = f"sub-{one.key.sub}_sessions.tsv has several rows of ses-{one.key.ses} that differ."
            yield Finding("session-twice", text, label)
        if one.anatomy_note == OTHER_ANATOMY:
            yield Finding("anatomy-other-subject", f"{OTHER_ANATOMY}.", label)
        water = parse_name(one.water) if one.water else None
        if water is not None and water.entities.get("ses") != one.key.ses:
            yield Finding("water-other-session", f"{water.path.name} is of another session.", label)


def _repeated_visits(root: Path) -> frozenset[tuple[str, str]]:
    try:
        return repeated_sessions(root)
    except MrspipeError:
        return frozenset()


def _listed(root: Path) -> tuple[tuple[str, ...], set[str] | None]:
    """Participants with contradicting rows, and those with a row; neither when the table cannot be used."""
    try:
        return repeated_participants(root), {str(p).removeprefix("sub-") for p in participants(root)["participant_id"]}
    except (MrspipeError, KeyError):
        return (), None


def _of_study(
    files: StudyFiles, usable: Sequence[tuple[ScanFiles, ScanReport]], config: StudyConfig
) -> Iterator[Finding]:
    without_water = [one.key.label for one, report in usable if not report.has_water]
    if without_water:
        yield Finding("no-water", f"{_scans(without_water)} no water: ratios only ({', '.join(without_water)}).")
    if not config.quantify.tissue_fractions:
        unknown = [one.key.label for one, _ in usable if not one.tissue_maps]
        if unknown:
            yield Finding("no-tissue", f"{_scans(unknown)} no tissue maps: no molal or molar concentrations.")
    notes = Counter(one.anatomy_note for one, _ in usable if one.anatomy is None)
    for note, count in sorted(notes.items()):
        if note != OTHER_ANATOMY:
            yield Finding("no-anatomy", f"{count} {'scan' if count == 1 else 'scans'}: {note}.")
    yield from _other_session([one for one, _ in usable])
    yield from _shared_water([one for one, _ in usable])
    yield from _without_constants([report for _, report in usable], config)
    for name, values in _acquisitions([report for _, report in usable]).items():
        if len(values) > 1:
            listed = ", ".join(f"{value} ({count})" for value, count in sorted(values.items()))
            yield Finding("mixed-acquisition", f"{name} differs between scans: {listed}.")
    yield from _missing_columns(files.root, config)


def _other_session(scans: Sequence[ScanFiles]) -> Iterator[Finding]:
    """Scans whose position is sought in an image of another session, or of none, while there are several."""
    visits: dict[str, set[str | None]] = defaultdict(set)
    for one in scans:
        visits[one.key.sub].add(one.key.ses)
    moved = [
        one.key.label
        for one in scans
        if len(visits[one.key.sub]) > 1
        and any(_session(path) != one.key.ses for path in (one.anatomy, one.tissue_maps.get("GM")) if path)
    ]
    if moved:
        yield Finding("anatomy-other-session", f"{_scans(moved)} an image or tissue maps not of their session.")


def _session(path: Path) -> str | None:
    named = parse_name(path)
    return named.entities.get("ses") if named else None


def _scans(labels: Sequence[str]) -> str:
    return "1 scan has" if len(labels) == 1 else f"{len(labels)} scans have"


def _shared_water(scans: Sequence[ScanFiles]) -> Iterator[Finding]:
    users: dict[Path, list[str]] = defaultdict(list)
    for one in scans:
        if one.water is not None:
            users[one.water].append(one.key.label)
    for water, labels in users.items():
        if len(labels) > 1:
            yield Finding("water-shared", f"{water.name} serves {', '.join(labels)}.")


def _without_constants(reports: Sequence[ScanReport], config: StudyConfig) -> Iterator[Finding]:
    stated = all_times_stated(config.quantify)
    fields = Counter(report.acquisition.field_t for report in reports if report.acquisition.field_t is not None)
    for field_t, count in sorted(fields.items()):
        if not is_tabulated(field_t) and not stated:
            scans = "1 scan is" if count == 1 else f"{count} scans are"
            text = f"{scans} of {field_t:g} T; relaxation times are tabulated for {FIELD_T:g} T."
            yield Finding("no-constants", text)


def _acquisitions(reports: Sequence[ScanReport]) -> dict[str, Counter[str]]:
    facts: dict[str, Counter[str]] = {"Echo time": Counter(), "Repetition time": Counter(), "Sequence": Counter()}
    for report in reports:
        facts["Echo time"][_milliseconds(report.acquisition.echo_time_s)] += 1
        facts["Repetition time"][_milliseconds(report.acquisition.repetition_time_s)] += 1
        facts["Sequence"][report.acquisition.sequence or "unknown"] += 1
    return facts


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{1000 * seconds:g} ms"


def _missing_columns(root: Path, config: StudyConfig) -> Iterator[Finding]:
    try:
        known = {*participants(root).columns, *sessions(root).columns, "gm_fraction"}
    except MrspipeError as error:
        yield Finding("table", str(error))
        return
    for column in config.design.columns:
        if column not in known:
            text = f"The design names '{column}', which no participants or sessions file has."
            yield Finding("design-column", text)


def write_checks(out_dir: Path, checks: StudyChecks, everything: StudyFiles) -> None:
    """Write ``group/checks.tsv``: what was found now, and what was found earlier in scans not checked now."""
    path = out_dir / "group" / "checks.tsv"
    now = {report.key.label for report in checks.reports}
    there = {one.key.label for one in everything.scans}
    rows = [row for row in read_checks(out_dir) if row["scan"] in there - now]
    rows = _sorted_rows([*rows, *rows_of_checks(checks)])
    write_table(path, table_of(rows, _COLUMNS), _COLUMNS)


def rows_of_checks(checks: StudyChecks) -> list[dict[str, str]]:
    """Give the rows of ``group/checks.tsv`` for what was found now."""
    rows = [
        {
            "scan": finding.where or MISSING,
            "outcome": finding.outcome,
            "code": finding.code,
            "message": " ".join(finding.text.split()),
            "cure": finding.check.cure,
        }
        for finding in checks.findings
    ]
    return _sorted_rows(rows)


def _sorted_rows(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(rows, key=lambda row: (row["scan"], row["code"], row["message"]))


def read_checks(out_dir: Path) -> list[dict[str, str]]:
    """Read the rows of ``group/checks.tsv``; none when there is no such table."""
    path = out_dir / "group" / "checks.tsv"
    if not path.exists():
        return []
    table = read_table(path).astype(object).fillna(MISSING)
    return [{str(name): str(value) for name, value in row.items()} for row in table.to_dict("records")]


def notes_of_scans(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Say by the name of the scan what was found and did not refuse it, for its page."""
    notes: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["outcome"] != "refused":
            outcome = "overridden in the settings" if row["outcome"] == "accepted" else row["outcome"]
            notes[row["scan"]].append(f"{row['message']} (check {row['code']}: {outcome})")
    return {scan: tuple(texts) for scan, texts in notes.items()}
