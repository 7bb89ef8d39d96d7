"""The runs whose flows were started on another host, which this controller can't see. The monitor calls it.

A standby on that host reports how their attempts end. While there is none, they are marked as uncertain.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from controller.clock import Clock
from controller.model.hosts import AttemptReport, directory_of, host_of
from controller.model.runs import Attempt, Run, RunId, RunOutcome
from controller.runs.executors.attempt_files import attempt_directory
from controller.runs.executors.executor import AttemptStatus, Handle, NotStarted, Phase
from controller.store import Store, hosts, uncertain_runs
from controller.store.task_reports import FILE


@dataclass(slots=True)
class ReportedAttempt:
    """The handle of an attempt that has ended on the host of a standby, as the standby has reported."""

    run: Run
    attempt: Attempt
    directory: Path
    report: AttemptReport
    ready_by: float = 0.0
    ended_on_its_own: bool = False
    phase = Phase.AWAITING_END
    is_cold = False
    lacking = None
    launch_failure = None

    def fileno(self) -> None:
        """Return None: it has ended already."""

    def receive(self) -> bool:
        """Return False: it sends nothing."""
        return False

    def send_go(self) -> None:
        """Do nothing: it has ended."""

    def abandon(self) -> None:
        """Do nothing: it has ended."""

    def request_stop(self) -> None:
        """Do nothing: it has ended."""

    def read_status(self) -> AttemptStatus:
        """Return what was reported."""
        return self.report.outcome or NotStarted()

    def why_uncertain(self) -> str | None:
        """Return what was reported."""
        return self.report.doubt

    def clean_up(self, status: RunOutcome | NotStarted) -> None:
        """Do nothing: the standby has done it."""

    def release(self) -> None:
        """Do nothing: there is no connection."""


class AwayRuns:
    """Finds out about runs on other hosts. `place` is that of new attempts; None if the state has only one host."""

    def __init__(self, store: Store, clock: Clock, place: str | None) -> None:
        self._store = store
        self._clock = clock
        self._place = place

    def find_reported(
        self, away: Sequence[tuple[Run, Attempt]], adopted: Sequence[Handle], active: Collection[str]
    ) -> list[Handle]:
        """Return the handles of those attempts on other hosts that have ended, and mark runs as uncertain or not.

        `adopted` are attempts that can be seen from here now. The reports about `active` runs, whose outcomes are not
        recorded yet, stay.
        """
        if self._place is None:
            return []
        with self._store.read() as tx:
            reports = {(report.run_id, report.number, report.nonce): report for report in hosts.find_reports(tx)}
            present = hosts.find_present(tx) if away else set()
        ended: list[Handle] = []
        reasons: dict[RunId, str | None] = {active.run.id: None for active in adopted}
        for run, attempt in away:
            report = reports.pop((run.id, attempt.number, attempt.nonce), None)
            if report is None:
                reasons[run.id] = self._why_uncertain(attempt, present)
            else:
                ended.append(self._handle(run, attempt, report))
        known = {
            run.id: run.uncertain_reason for run in (*(active.run for active in adopted), *(run for run, _ in away))
        }
        changed = {run_id: reason for run_id, reason in reasons.items() if reason != known[run_id]}
        self._record(changed, [report.run_id for report in reports.values() if report.run_id not in active])
        return ended

    def _record(self, changed: dict[RunId, str | None], outdated: Sequence[RunId]) -> None:
        """Record why runs are uncertain (None: they are not), and delete reports that were used or came too late."""
        if not changed and not outdated:
            return
        with self._store.write() as tx:
            uncertain_runs.record(tx, changed, self._clock.now())
            hosts.delete_reports(tx, outdated)

    def _why_uncertain(self, attempt: Attempt, present: set[str]) -> str | None:
        """Return why nobody can say whether this attempt is running; None if a standby on its host can."""
        assert self._place is not None
        place = attempt.place or self._place
        host = host_of(place)
        if host == host_of(self._place):
            return f"the directory {directory_of(place)} is missing"
        return None if host in present else f"host {host} is away"

    def _handle(self, run: Run, attempt: Attempt, report: AttemptReport) -> ReportedAttempt:
        """Return the handle of a reported attempt, with what its flow reported in a directory of this host."""
        assert self._place is not None
        directory = attempt_directory(Path(directory_of(self._place)), attempt)
        if report.events:
            directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.mkdir(exist_ok=True, mode=0o700)
            (directory / FILE).write_text(report.events, encoding="utf-8")
        return ReportedAttempt(run, attempt, directory, report)
