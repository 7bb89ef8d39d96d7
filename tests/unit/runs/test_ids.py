"""Run ids are UUIDv7 and sort by creation, even if the clock is set."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.runs.ids import RunIds, new_nonce
from tests.conftest import NOW

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(times=st.lists(TIMES, min_size=1, max_size=20))
def test_ids_increase_and_are_of_version_7(times: list[datetime]) -> None:
    ids = RunIds()
    made = [ids.new(time) for time in times]
    assert made == sorted(set(made))
    for one in made:
        parsed = uuid.UUID(one)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, one)


@given(time=TIMES)
def test_an_id_begins_with_its_time(time: datetime) -> None:
    stamp = int(RunIds().new(time).replace("-", "")[:12], 16)
    assert abs(stamp - time.timestamp() * 1000) <= 1


def test_ids_increase_within_a_millisecond_and_after_a_backward_clock_step() -> None:
    ids = RunIds()
    made = [ids.new(NOW) for _ in range(5000)]
    made += [ids.new(NOW - timedelta(hours=1)), ids.new(NOW + timedelta(hours=1))]
    assert made == sorted(set(made))


@given(time=TIMES)
def test_ids_sort_after_the_newest_recorded_id_even_if_its_clock_was_ahead(time: datetime) -> None:
    newest = RunIds().new(time)
    first = RunIds(newest=newest).new(NOW)
    assert newest < first
    assert RunIds(newest="no-uuid").new(NOW) < RunIds(newest=first).new(NOW + timedelta(milliseconds=1))


def test_threads_never_get_the_same_id() -> None:
    ids, made = RunIds(), list[str]()
    threads = [threading.Thread(target=lambda: made.extend(ids.new(NOW) for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2000


def test_every_attempt_has_a_nonce_of_its_own() -> None:
    assert len({new_nonce() for _ in range(100)}) == 100
