"""The delay of a deployment within its jitter: constant, evenly distributed, and always shorter than the jitter."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.schedules import jitter_offset

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("name", "schedule_id", "jitter", "milliseconds"),
    [
        ("nightly-sales", "nightly", HOUR, 476_721),
        ("nightly-sales", "hourly", HOUR, 471_221),
        ("nightly-sales", "nightly", 2 * HOUR, 953_442),
        ("a", "", timedelta(seconds=1), 999),
    ],
)
def test_these_delays_never_change(name: str, schedule_id: str, jitter: timedelta, milliseconds: int) -> None:
    assert jitter_offset(name, schedule_id, jitter) == timedelta(milliseconds=milliseconds)


@given(
    name=st.text(max_size=20),
    schedule_id=st.text(max_size=20),
    jitter=st.timedeltas(timedelta.resolution, timedelta(days=3653)),
)
def test_the_delay_is_less_than_the_jitter(name: str, schedule_id: str, jitter: timedelta) -> None:
    found = jitter_offset(name, schedule_id, jitter)
    assert timedelta() <= found < jitter
    assert found % timedelta(milliseconds=1) == timedelta()


@pytest.mark.parametrize("jitter", [timedelta(), -HOUR, timedelta(microseconds=1), timedelta(milliseconds=1)])
def test_without_jitter_there_is_no_delay(jitter: timedelta) -> None:
    assert jitter_offset("a", "b", jitter) == timedelta()


def test_deployments_are_spread_over_the_whole_jitter() -> None:
    quarters = [jitter_offset(f"job-{number}", "x", HOUR) // (HOUR / 4) for number in range(1000)]
    assert all(200 < quarters.count(quarter) < 300 for quarter in range(4))


def test_name_and_id_are_hashed_separately() -> None:
    assert jitter_offset("ab", "c", HOUR) != jitter_offset("a", "bc", HOUR)


def test_a_longer_jitter_keeps_the_order_of_the_deployments() -> None:
    names = [f"job-{number}" for number in range(50)]
    orders = [sorted(names, key=lambda name: jitter_offset(name, "x", length)) for length in (HOUR, 5 * HOUR)]
    assert orders[0] == orders[1]
