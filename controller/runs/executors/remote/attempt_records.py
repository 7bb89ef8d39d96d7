"""Reads the records of remote attempts for the node API, and records reports that come too late. Thread-safe."""

import logging
import re

from controller.clock import Clock
from controller.model.runs import Attempt, Run
from controller.model.status import Event, EventSeverity
from controller.records import dataclass
from controller.store import Store, events, runs

log = logging.getLogger(__name__)

_JOB_ID = re.compile(r"c-([0-9a-f-]{36})-([0-9]{1,9})-[0-9a-f]{1,12}")


def job_id_of(run_id: str, number: int, nonce: str) -> str:
    """Return the id of the job of an attempt, which is known before the job is submitted."""
    return f"c-{run_id}-{number}-{nonce[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """An attempt with its run, as they are recorded."""

    run: Run
    attempt: Attempt

    @property
    def is_over(self) -> bool:
        """Whether the attempt has its outcome, or never gets one."""
        return not self.run.is_in_progress or self.run.attempt != self.attempt.number


class AttemptRecords:
    """The records of attempts by the ids of their jobs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def find(self, job_id: str) -> AttemptRecord | None:
        """Return the record of an attempt; None for a job of nobody, or of a launch that another one has replaced."""
        match = _JOB_ID.fullmatch(job_id)
        if match is None:
            return None
        with self._store.read() as tx:
            run = runs.find(tx, match[1])
            attempts = [] if run is None else runs.attempts_of(tx, run.id)
        for attempt in attempts:
            if run is not None and attempt.job_id == job_id:
                return AttemptRecord(run=run, attempt=attempt)
        return None

    def note_late_result(self, record: AttemptRecord, outcome: str) -> None:
        """Record that the runner of an attempt that was given up has reported its end."""
        attempt = record.attempt
        where = f" on {attempt.node}" if attempt.node else ""
        message = (
            f"Attempt {attempt.number}{where} was given up, and has now reported its end: {outcome}. "
            f"The run stays {record.run.state.value.replace('_', ' ')}."
        )
        event = Event(
            time=self._clock.now(),
            severity=EventSeverity.WARNING,
            reason="LateResult",
            message=message,
            about=record.run.deployment,
            revision=record.run.revision,
            deployment=record.run.deployment,
            run_id=record.run.id,
        )
        with self._store.write() as tx:
            events.append(tx, [event])
        log.warning("Late result of a run", extra={"run": record.run.id, "outcome": outcome})
