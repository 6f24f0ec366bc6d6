"""What the commands print: progress, summaries, tables. Plain lines where the output is not a terminal."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.markup import escape

from mrspipe.core.results import Failure

if TYPE_CHECKING:
    from mrspipe.calibrate.run import Calibration
    from mrspipe.checks.catalogue import Finding
    from mrspipe.pipeline.group import Comparison
    from mrspipe.pipeline.plan import StudyPlan
    from mrspipe.pipeline.preflight import Preflight
    from mrspipe.pipeline.request import StudySummary
    from mrspipe.pipeline.spectra import SpectrumOutcome

ProgressFunction = Callable[[str, int, int], None]

# Width of tables where the output is a file or a pipe; long lines of text are not wrapped there.
_PLAIN_WIDTH = 160

# More scans than this with the same problem are one line.
_MOST_LINES_ALIKE = 3

# Metabolites of the short table after a fit.
_SHOWN = ("Glu", "Glx", "tNAA", "tCho", "Ins", "tCr")


class Console:
    """Prints for people; with ``quiet`` only what went wrong, with ``verbose`` also how long it took."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._out = RichConsole(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
        self._errors = RichConsole(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line of text as it is."""
        if not self._quiet:
            self._out.print(escape(text), soft_wrap=True)

    @contextmanager
    def progress(self) -> Iterator[ProgressFunction]:
        """Give a function that shows how far the work is: a bar in a terminal, else a line every tenth."""
        try:
            if self._quiet:
                yield lambda _what, _done, _total: None
            elif self._errors.is_terminal:
                with _bars(self._errors) as show:
                    yield show
            else:
                yield self._line
        except KeyboardInterrupt:
            self._errors.print("Interrupted. Run the same command again to go on.")
            raise

    def _line(self, what: str, done: int, total: int) -> None:
        if done == total or done % max(5, total // 10) == 0:
            self._errors.print(f"{what}: {done} of {total}")

    def study(self, summary: "StudySummary") -> None:
        """Print what a run did."""
        analysed = summary.n_scans - len(summary.failures)
        reused = f", {summary.n_reused} of them from an earlier run" if summary.n_reused else ""
        self.say(f"{analysed} of {summary.n_scans} scans analysed{reused}.")
        for path, reason in summary.skipped:
            self.say(f"Left out: {path.name}: {reason}.")
        for note in summary.notes:
            self.say(note)
        if self._verbose:
            for name, seconds in summary.seconds.items():
                self.say(f"{name}: {seconds:.2f} s")
        self.findings(summary.told)
        self.failures(summary.failures)
        if summary.comparison is not None:
            self.comparison(summary.comparison)
        if summary.group_page is not None:
            self.say(f"Report: {summary.group_page}")

    def verified(self, problems: Sequence[tuple[str, str]]) -> None:
        """Print each file that is not what a run wrote, on the error stream."""
        for path, kind in problems:
            self._errors.print(escape(f"{kind}: {path}"))
        if not problems:
            self.say("Every file is what the run wrote.")

    def pages(self, summary: "StudySummary") -> None:
        """Print where the pages are."""
        for note in summary.notes:
            self.say(note)
        self.say(f"Report: {summary.group_page}")

    def findings(self, findings: Sequence["Finding"]) -> None:
        """Print what was found and does not stop a scan: a line each, or one for many scans with the same problem."""
        alike: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in findings:
            alike[finding.outcome.capitalize(), finding.code].append(finding)
        for (outcome, code), group in alike.items():
            if len(group) > _MOST_LINES_ALIKE and group[0].where:
                names = ", ".join(finding.where for finding in group[:_MOST_LINES_ALIKE])
                self.say(f"{outcome} ({code}): {len(group)} scans ({names}, ...): {group[0].check.what}")
                continue
            for finding in group:
                place = f"{finding.where}: " if finding.where else ""
                self.say(f"{outcome} ({code}): {place}{finding.text}")

    def failures(self, failures: Sequence[Failure]) -> None:
        """Print each failure as one line, on the error stream."""
        for failure in failures:
            row = failure.row()
            names = [str(row[name]) for name in ("participant_id", "session_id", "task_id") if row[name] != "n/a"]
            cure = f" {failure.cure}" if failure.cure else ""
            line = f"Failed: {' '.join(names)} ({failure.stage}, {failure.code}): {failure.message}{cure}"
            self._errors.print(escape(line))

    def comparison(self, comparison: "Comparison") -> None:
        """Print the main contrasts, or why there are none."""
        if comparison.why_no_test:
            self.say(f"No group test: {comparison.why_no_test}")
            return
        rows = [row for row in comparison.main_rows() if row["contrast"] in comparison.primary]
        headers = ("Contrast", "Measure", "Model", "Estimate", "95 % CI", "p", "Effect", "n")
        self._table(headers, [_contrast_cells(row) for row in rows])

    def spectra(self, outcomes: Sequence["SpectrumOutcome"], out: Path) -> None:
        """Print the main ratios of each spectrum."""
        rows = []
        for outcome in outcomes:
            by_name = {row["metabolite"]: row for row in outcome.rows}
            first = outcome.rows[0] if outcome.rows else {}
            cells = [_number(by_name.get(name, {}).get("ratio_tcr")) for name in _SHOWN[:-1]]
            status = first.get("status", "failed")
            rows.append((outcome.name, *cells, _number(first.get("fwhm_hz")), _number(first.get("snr")), status))
        self._table(("Spectrum", *(f"{name}/tCr" for name in _SHOWN[:-1]), "FWHM Hz", "SNR", "Fit"), rows)
        for outcome in outcomes:
            for advice in outcome.advice:
                self.say(f"{outcome.name}: {advice}")
            if outcome.failure:
                cure = f" {outcome.failure.cure}" if outcome.failure.cure else ""
                self._errors.print(escape(f"Failed: {outcome.name} ({outcome.failure.stage}): "
                                          f"{outcome.failure.message}{cure}"))  # fmt: skip
        self.say(f"Tables: {out / 'summary.tsv'}")

    def plan(self, plan: "StudyPlan") -> None:
        """Print what a run would do."""
        for job in plan.waiting:
            self.say(f"Would analyse {job.files.key.label}")
        self.say(f"{len(plan.waiting)} scans to analyse, {len(plan.current)} already done.")
        self.failures(plan.files.failures)

    def preflight(self, report: "Preflight") -> None:
        """Print what was found in a dataset."""
        self._table(("Scan", "Water", "Anatomy", "Tissue maps"), report.rows)
        self.findings(report.doubts)
        for path, reason in report.skipped:
            self.say(f"Left out: {path.name}: {reason}.")
        self.failures(report.failures)
        self.say(f"{len(report.rows)} scans can be analysed, {len(report.failures)} cannot.")

    def calibration(self, found: "Calibration") -> None:
        """Print what the tests of a study are worth."""
        from mrspipe.calibrate.run import summary_rows

        headers = ("Test", "Truth", "Kind", "Rate", "Coverage", "Bias", "Oracle")
        rows = [
            (
                " ".join(filter(None, (row["test"], row["metabolite"]))),
                _number(row["truth"]),
                row["kind"].replace("_", " "),
                *(_with_error(row.get(name)) for name in ("found", "coverage", "bias", "oracle")),
            )
            for row in summary_rows(found.rows)
        ]
        self._table(headers, rows)
        if found.n_failed:
            self.say(f"{found.n_failed} scans could not be analysed.")
        for text in found.statements:
            self.say(text)
        self.say(f"Table: {found.table}")

    def power(self, rows: Sequence[dict[str, Any]], table: Path) -> None:
        """Print what a study can find."""
        headers = ("Test", "Value of a participant", "n", "SD", "Found", "95 % range", "For", "n needed", "95 % range")
        cells = [
            (
                row["test"],
                row["design"],
                " and ".join(_number(row[name]) for name in ("n_reference", "n_other") if row.get(name) is not None),
                " and ".join(_number(row[name]) for name in ("sd_reference", "sd_other") if row.get(name) is not None),
                _number(row.get("effect")),
                f"{_number(row.get('effect_low'))} to {_number(row.get('effect_high'))}",
                _number(row.get("asked_effect")),
                _number(row.get("n_for_effect")),
                f"{_number(row.get('n_low'))} to {_number(row.get('n_high'))}",
            )
            for row in rows
        ]
        self._table(headers, cells)
        for note in dict.fromkeys(f"{row['test']}: {row['note']}" for row in rows if row.get("note")):
            self.say(note)
        self.say(f"Table: {table}")

    def _table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table

        if self._quiet:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        self._out.print(table)


@contextmanager
def _bars(console: RichConsole) -> Iterator[ProgressFunction]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield show


def _contrast_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["contrast"]),
        str(row["metabolite"] if row["metabolite"] == row["metabolite"] else row["quantity"]),
        str(row["model"]).split(":", maxsplit=1)[0],
        _number(row["estimate"]),
        f"{_number(row['ci_low'])} to {_number(row['ci_high'])}",
        _number(row["p"]),
        f"{row['effect_name']} {_number(row['effect'])}" if row["effect"] == row["effect"] else "",
        f"{_number(row['n_subjects'])}",
    )


def _number(value: object) -> str:
    if not isinstance(value, (int, float)) or value != value:
        return "n/a"
    return f"{value:.3g}"


def _with_error(found: tuple[float, float] | None) -> str:
    return "" if found is None else f"{found[0]:.3f} ± {found[1]:.3f}"
