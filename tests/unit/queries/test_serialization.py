"""The fields of a value are the keys of its JSON, except internal ones."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from controller.model.runs import Attempt, Run, RunId, RunState
from controller.model.status import Event, EventSeverity, NumberedEvent
from controller.queries.serialization import MAX_LEVELS, field_names, json_bytes, to_json
from tests.conftest import NOW


def test_internal_fields_are_not_in_the_json() -> None:
    attempt = Attempt(run_id=RunId("1"), number=1, nonce="n", boot_id="b", state=RunState.FAILED, exit_code=3)
    assert to_json(attempt) == {
        "number": 1,
        "state": "failed",
        "started_at": None,
        "finished_at": None,
        "exit_code": 3,
        "signal": None,
        "reason": None,
        "executor": "local",
        "job_id": None,
        "node": None,
    }
    assert not {"file", "idempotency_key", "serial", "retries"} & {*field_names(Run)}


def test_an_id_comes_first() -> None:
    event = NumberedEvent(id=7, time=NOW, severity=EventSeverity.INFO, reason="Applied", message="m", about="source")
    assert list(to_json(event)) == ["id", *field_names(Event)]


def _nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        None,
        "ü\ud800",
        [],
        {},
        (1, 2.5, True),
        {"ü\ud800": [NOW, {"a": (NOW,)}], 3: []},
        [NumberedEvent(id=7, time=NOW, severity=EventSeverity.INFO, reason="Applied", message="m", about="source")],
        {"events": [Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="m", about="source")] * 2},
        _nested(MAX_LEVELS),
        _nested(MAX_LEVELS + 1),
    ],
)
def test_the_bytes_are_those_of_the_plain_values(value: Any) -> None:
    plain = json.dumps(to_json(value), ensure_ascii=False)
    assert json_bytes(value) == plain.encode("utf-8", "backslashreplace")


def _peak(convert: Callable[[], object]) -> int:
    """Return the most bytes that are allocated during a second call."""
    convert()
    tracemalloc.start()
    try:
        convert()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_list_is_not_converted_to_plain_values_all_at_once() -> None:
    attempt = Attempt(run_id=RunId("1"), number=1, nonce="n", boot_id="b", state=RunState.FAILED, exit_code=3)
    value = {"items": [attempt] * 1000}
    assert _peak(lambda: json_bytes(value)) < _peak(lambda: json.dumps(to_json(value)).encode()) * 0.6
