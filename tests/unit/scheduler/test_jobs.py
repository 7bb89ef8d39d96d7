"""The heap job store behaves like APScheduler's own memory store under any sequence of calls."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.scheduler.jobs import HeapJobStore
from tests.thoroughness import scaled

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
TIMES = st.none() | st.integers(0, 6).map(lambda minutes: START + timedelta(minutes=minutes))
SCHEDULER = BackgroundScheduler(timezone=UTC)


def nothing() -> None:
    """Serve as the function of the jobs in these tests."""


def job(name: str, time: datetime | None) -> Job:
    return Job(
        SCHEDULER,
        id=name,
        trigger=DateTrigger(START, timezone=UTC),
        executor="default",
        func=nothing,
        args=(),
        kwargs={},
        name=name,
        misfire_grace_time=None,
        coalesce=True,
        max_instances=1,
        next_run_time=time,
    )


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ConflictingIdError, JobLookupError) as error:
        return type(error)


def told(jobs: list[Job]) -> list[tuple[str, datetime | None]]:
    return [(one.id, one.next_run_time) for one in jobs]


class SameAsTheMemoryStore(RuleBasedStateMachine):
    """The same calls to both stores return the same results."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: BaseJobStore = HeapJobStore()
        self.model: BaseJobStore = MemoryJobStore()

    @rule(name=NAMES, time=TIMES)
    def add(self, name: str, time: datetime | None) -> None:
        ours = outcome(lambda: self.ours.add_job(job(name, time)))
        assert ours == outcome(lambda: self.model.add_job(job(name, time)))

    @rule(name=NAMES, time=TIMES)
    def update(self, name: str, time: datetime | None) -> None:
        ours = outcome(lambda: self.ours.update_job(job(name, time)))
        assert ours == outcome(lambda: self.model.update_job(job(name, time)))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        ours = outcome(lambda: self.ours.remove_job(name))
        assert ours == outcome(lambda: self.model.remove_job(name))

    @rule()
    def clear(self) -> None:
        self.ours.remove_all_jobs()
        self.model.remove_all_jobs()

    @rule(minutes=st.integers(-1, 7))
    def ask_for_due_jobs(self, minutes: int) -> None:
        now = START + timedelta(minutes=minutes)
        assert told(self.ours.get_due_jobs(now)) == told(self.model.get_due_jobs(now))

    @rule(minutes=st.integers(0, 7), later=TIMES)
    def process_due_jobs(self, minutes: int, later: datetime | None) -> None:
        """Do what the scheduler does: change a due job in place, then update or remove it."""
        now = START + timedelta(minutes=minutes)
        for store in (self.ours, self.model):
            for due in store.get_due_jobs(now):
                if later is None:
                    store.remove_job(due.id)
                else:
                    store.update_job(job(due.id, later))

    @invariant()
    def they_hold_the_same(self) -> None:
        assert self.ours.get_next_run_time() == self.model.get_next_run_time()
        assert sorted(told(self.ours.get_all_jobs()), key=str) == sorted(told(self.model.get_all_jobs()), key=str)
        for name in "abcde":
            assert (self.ours.lookup_job(name) is None) == (self.model.lookup_job(name) is None)


TestSameAsTheMemoryStore = pytest.mark.filterwarnings("error")(
    settings(max_examples=scaled(60), stateful_step_count=25, deadline=None)(SameAsTheMemoryStore).TestCase
)


def test_a_job_changed_in_place_and_updated_moves_in_the_heap() -> None:
    store = HeapJobStore()
    mine = job("a", START)
    store.add_job(mine)
    mine._modify(next_run_time=START + timedelta(hours=1))
    store.update_job(mine)
    assert store.get_due_jobs(START) == []
    assert store.get_next_run_time() == START + timedelta(hours=1)


def test_jobs_share_the_reference_to_their_function() -> None:
    store = HeapJobStore()
    for name in ("a", "b"):
        store.add_job(job(name, START))
    first, second = store.get_all_jobs()
    assert first.func_ref is second.func_ref
    assert first.kwargs is second.kwargs
