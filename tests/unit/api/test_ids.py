"""Invalid run ids and stream positions are rejected with a clear message."""

import pytest

from tests.unit.api.conftest import Served


@pytest.mark.parametrize("run", ["01a20a24", "x", "01A20A24-34E0-7000-97E2-82F65B2A00A9"])
def test_a_run_needs_its_full_id(served: Served, run: str) -> None:
    for path in ("", "/logs", "/logs/raw", "/logs/stream"):
        answer = served.get(f"/api/v1/runs/{run}{path}")
        assert answer.status == 422
        assert answer.json()["detail"] == "path run_id: not a full run id; `GET /api/v1/runs` lists them"


@pytest.mark.parametrize("number", ["abc", "-1", "1.5", "1 2"])
def test_an_invalid_stream_position_is_rejected(served: Served, number: str) -> None:
    run = served.run("add", a=1)["id"]
    for path in (f"/api/v1/runs/{run}/logs/stream", "/api/v1/events/stream"):
        answer = served.ask("GET", path, headers={"Last-Event-ID": number})
        assert (answer.status, answer.json()["errors"][0]["path"]) == (422, ["header", "last-event-id"]), path
