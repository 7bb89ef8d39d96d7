"""Whatever happens, the deadlines that are missed are those of a model that reads the whole history at the end."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.notifications import Trouble
from controller.model.runs import RunState
from controller.store import Store
from tests.conftest import NOW, ManualClock
from tests.thoroughness import scaled
from tests.unit.notify.deadline_world import DeadlineWorld

MINUTE = timedelta(minutes=1)
PERIOD, LENGTH = timedelta(minutes=10), timedelta(minutes=7)
KINDS = ["admit", "start", "end", "fail", "cancel", "restart", "check", "nothing"]
ACTIONS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 9)), max_size=40)


def expected_misses(started: dict[datetime, datetime], now: datetime) -> int:
    """The number of due times whose run did not start by the deadline."""
    due, missed = NOW + PERIOD, 0
    while due + LENGTH <= now:
        missed += started.get(due, now + MINUTE) > due + LENGTH
        due += PERIOD
    return missed


@settings(max_examples=scaled(25))
@given(actions=ACTIONS, checks_often=st.booleans())
def test_each_deadline_is_missed_exactly_once(
    migrated_database: Path, actions: list[tuple[str, int]], checks_often: bool
) -> None:
    with TemporaryDirectory() as directory:
        store = Store.open(Path(shutil.copy(migrated_database, Path(directory) / "state.db")))
        clock = ManualClock()
        world = DeadlineWorld(Path(directory) / "repo", store, clock)
        catchup = {"policy": "all", "window": "1d", "max": 1000}
        world.declare(
            schedules=[{"interval": "10m", "anchor_date": "2026-06-01T00:00"}],
            overlap="allow",
            catchup=catchup,
            expect={"start_within": "7m"},
        )
        world.check()
        started: dict[datetime, datetime] = {}
        has_cancelled = False
        counted = 0
        is_late = False
        for action, minutes in [*actions, ("check", 1), ("check", 9)]:
            clock.turn(minutes * MINUTE)
            waiting, running = world.find_runs("a", RunState.PENDING), world.find_runs("a", RunState.RUNNING)
            if action == "admit":
                world.admit()
            elif action == "start" and waiting:
                run = world.start(waiting[-1])
                assert run.scheduled_for is not None
                started[run.scheduled_for] = clock.now()
            elif action in ("end", "fail") and running:
                world.end(running[0], RunState.SUCCEEDED if action == "end" else RunState.FAILED)
            elif action == "cancel" and waiting:
                world.cancel(waiting[0])
                has_cancelled = True
            elif action == "restart":
                world.restart()
            if action == "check" or checks_often:
                previous = {miss.deployment: miss.count for miss in world.missed()}
                change = world.check()
                for miss in change.missed:
                    counted += miss.count - (previous.get("a", 0) if is_late else 0)
                    previous["a"] = miss.count
                    is_late = True
                is_late = is_late and ("a", Trouble.LATE) not in (*change.met, *change.withdrawn)
                assert is_late is bool(world.missed())
        if not has_cancelled:
            assert counted == expected_misses(started, clock.now())
        store.close()
