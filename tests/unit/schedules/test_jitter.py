"""The phase of a deployment within its jitter: the same for ever, spread evenly, and never as long as the jitter."""

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
def test_these_phases_hold_for_ever(name: str, schedule_id: str, jitter: timedelta, milliseconds: int) -> None:
    assert jitter_offset(name, schedule_id, jitter) == timedelta(milliseconds=milliseconds)


@given(
    name=st.text(max_size=20),
    schedule_id=st.text(max_size=20),
    jitter=st.timedeltas(timedelta.resolution, timedelta(days=3653)),
)
def test_it_is_less_than_the_jitter_in_whole_milliseconds(name: str, schedule_id: str, jitter: timedelta) -> None:
    found = jitter_offset(name, schedule_id, jitter)
    assert timedelta() <= found < jitter
    assert found % timedelta(milliseconds=1) == timedelta()


@pytest.mark.parametrize("jitter", [timedelta(), -HOUR, timedelta(microseconds=1), timedelta(milliseconds=1)])
def test_no_jitter_is_no_delay(jitter: timedelta) -> None:
    assert jitter_offset("a", "b", jitter) == timedelta()


def test_deployments_are_spread_over_the_whole_jitter() -> None:
    quarters = [jitter_offset(f"job-{number}", "x", HOUR) // (HOUR / 4) for number in range(1000)]
    assert all(200 < quarters.count(quarter) < 300 for quarter in range(4))


def test_name_and_id_do_not_run_into_each_other() -> None:
    assert jitter_offset("ab", "c", HOUR) != jitter_offset("a", "bc", HOUR)


def test_a_longer_jitter_keeps_the_order_of_the_deployments() -> None:
    names = [f"job-{number}" for number in range(50)]
    orders = [sorted(names, key=lambda name: jitter_offset(name, "x", length)) for length in (HOUR, 5 * HOUR)]
    assert orders[0] == orders[1]
