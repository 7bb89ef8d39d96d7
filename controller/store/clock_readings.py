"""The table with the last reading of the clock, which `runs.clock_skew` compares with the clock at the next start."""

from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select

from controller.records import dataclass
from controller.store.prepared import Prepared
from controller.store.rows import from_row
from controller.store.schema import clock_readings
from controller.store.sql_functions import upsert
from controller.store.store import Transaction

_NEW = upsert(clock_readings).values({column.name: bindparam(column.name) for column in clock_readings.columns})
_CHANGES = {name: _NEW.excluded[name] for name in ("boot_id", "booted_at", "elapsed")}
_IS_SAME_CLOCK = clock_readings.c.booted_at.between(bindparam("earliest"), bindparam("latest"))
_SAVE = Prepared(_NEW.on_conflict_do_update(index_elements=("project",), set_=_CHANGES))
_SAVE_UNCHANGED = Prepared(
    _NEW.on_conflict_do_update(
        index_elements=("project",),
        set_=_CHANGES,
        where=or_(clock_readings.c.boot_id != _NEW.excluded.boot_id, _IS_SAME_CLOCK),
    )
)
_FIND = Prepared(select(clock_readings).where(clock_readings.c.project == bindparam("of_project")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """The wall clock and the time since the machine booted, in seconds. `boot_id` is the kernel's id of that boot.

    `booted_at` is the wall clock at the boot. It changes only if the wall clock is set.
    """

    boot_id: str
    booted_at: datetime
    elapsed: float

    @property
    def time(self) -> datetime:
        """The wall clock."""
        return self.booted_at + timedelta(seconds=self.elapsed)

    def is_same_boot(self, earlier: "ClockReading") -> bool:
        """Return whether the machine has not been booted since this earlier reading."""
        return self.boot_id == earlier.boot_id != "" and self.elapsed >= earlier.elapsed


def find(tx: Transaction) -> ClockReading | None:
    """Return the last reading; None if no due time was decided yet."""
    return next((from_row(ClockReading, row) for row in _FIND.fetch(tx, of_project=tx.project)), None)


def save(tx: Transaction, reading: ClockReading, *, tolerance: timedelta | None = None) -> None:
    """Record a reading, with one statement.

    With `tolerance`, keep the last reading if the clock was set by more than that since, so that this is still noticed.
    """
    values = {"boot_id": reading.boot_id, "booted_at": reading.booted_at, "elapsed": reading.elapsed}
    if tolerance is None:
        _SAVE.run(tx, project=tx.project, **values)
        return
    bounds = {"earliest": reading.booted_at - tolerance, "latest": reading.booted_at + tolerance}
    _SAVE_UNCHANGED.run(tx, project=tx.project, **values, **bounds)
