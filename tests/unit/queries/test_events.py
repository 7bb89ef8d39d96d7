"""Events are filtered, and read one after the other from a number on; readers learn which ones are lost."""

from dataclasses import replace

import pytest

from controller.model.runs import RunId
from controller.model.status import Event, EventSeverity
from controller.queries.events import Gap, events_after, find_gap, list_events
from controller.store import Store, events, retention
from controller.store.events import EventFilter
from tests.conftest import NOW

RUN = RunId("01a22927-d04c-7000-bdee-828d5bf2a7d2")
EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Created", message="", about="a", deployment="a")
RECORDED = (
    EVENT,
    replace(EVENT, severity=EventSeverity.ERROR, reason="RunFailed", run_id=RUN, tags=("etl", "prod")),
    replace(EVENT, about="b", deployment="b", tags=("etl",)),
    replace(EVENT, about="source", deployment=None, reason="Applied"),
)


@pytest.fixture
def recorded(store: Store) -> Store:
    """A state with events 1 to 4."""
    with store.write() as tx:
        events.append(tx, RECORDED)
    return store


@pytest.mark.parametrize(
    ("criteria", "ids"),
    [
        ({"about": "a"}, [2, 1]),
        ({"severity": EventSeverity.ERROR}, [2]),
        ({"run_id": RUN}, [2]),
        ({"tag": "etl"}, [3, 2]),
        ({"tag": "etl", "about": "b"}, [3]),
        ({"reason": "Created"}, [3, 1]),
        ({"after": 1, "before": 4}, [3, 2]),
        ({"reason": "Created", "severity": EventSeverity.ERROR}, []),
    ],
)
def test_filters_are_combined(recorded: Store, criteria: dict[str, object], ids: list[int]) -> None:
    with recorded.read() as tx:
        assert [event.id for event in list_events(tx, EventFilter(limit=9, **criteria))] == ids  # type: ignore[arg-type]


def test_a_reader_resumes_with_the_oldest_events_after_a_number(recorded: Store) -> None:
    with recorded.read() as tx:
        assert [event.id for event in events_after(tx, 0, EventFilter(limit=2))] == [1, 2]
        assert [event.id for event in events_after(tx, 2, EventFilter(limit=2))] == [3, 4]
        assert [event.id for event in events_after(tx, 1, EventFilter(limit=2, reason="Created"))] == [3]
        assert events_after(tx, 4, EventFilter(limit=2)) == []


def test_deleted_events_and_numbers_of_another_state_are_gaps(recorded: Store) -> None:
    with recorded.read() as tx:
        assert [find_gap(tx, last) for last in (0, 2, 4)] == [None] * 3
        foreign = find_gap(tx, 9)
    assert foreign == Gap(after=9, next=5)
    assert "There is no event 9 in this state" in str(foreign)
    with recorded.write() as tx:
        assert retention.delete_events(tx, keep=1, before=NOW, limit=9) == 3
    with recorded.read() as tx:
        assert find_gap(tx, 3) is None
        assert str(find_gap(tx, 2)) == "Event 3 has been deleted; the next event has number 4."
        assert str(find_gap(tx, 0)) == "Events 1 to 3 have been deleted; the next event has number 4."
