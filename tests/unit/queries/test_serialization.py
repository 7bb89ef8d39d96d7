"""The fields of a value are the keys of its JSON, except internal ones."""

from controller.model.runs import Attempt, Run, RunId, RunState
from controller.model.status import Event, EventSeverity, NumberedEvent
from controller.queries.serialization import field_names, to_json
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
