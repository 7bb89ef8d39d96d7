"""The log by line numbers, its search over all attempts, and a stream that only counts lines."""

from pathlib import Path

import pytest

from tests.unit.api.conftest import Served, messages


@pytest.fixture(scope="module")
def log(served: Served) -> str:
    """The path of the logs of a run with 1,000 lines, two of which are errors."""
    text = "".join(f"line {number}\n" for number in range(1, 999)) + "ERROR:root:one\nERROR:root:two\n"
    return f"/api/v1/runs/{served.run('speak', text=text)['id']}/logs"


def test_lines_are_returned_by_number_with_time_level_and_attempt(served: Served, log: str) -> None:
    window = served.get(f"{log}/lines?from_line=-2").json()
    assert [(line["number"], line["text"], line["level"], line["attempt"]) for line in window["lines"]] == [
        (999, "ERROR:root:one", "ERROR", 1),
        (1000, "ERROR:root:two", "ERROR", 1),
    ]
    assert all(line["time"].endswith("Z") and line["left_out"] == 0 for line in window["lines"])
    assert (window["total_lines"], window["complete"]) == (1000, True)
    [attempt] = window["attempts"]
    assert (attempt["number"], attempt["state"], attempt["first_line"], attempt["lines"]) == (1, "succeeded", 1, 1000)
    assert len(served.get(f"{log}/lines").json()["lines"]) == 200
    single = served.get(f"{log}/lines?line=7&line=5&line=2000").json()["lines"]
    assert [line["text"] for line in single] == ["line 5", "line 7"]
    assert served.get(f"{log}/lines?attempt=2").json()["lines"] == []
    assert served.get(f"{log}/lines?count=251").status == 422


def test_a_search_covers_the_whole_log(served: Served, log: str) -> None:
    result = served.get(f"{log}/search?q=LINE&ignore_case=true&limit=2").json()
    assert (result["count"], result["numbers"][-1], result["total_lines"]) == (998, 998, 1000)
    assert [line["text"] for line in result["lines"]] == ["line 1", "line 2"]
    assert served.get(f"{log}/search?q=LINE").json()["count"] == 0
    assert served.get(f"{log}/search?q=line\\s9\\d%7b2%7d$&regex=true").json()["numbers"] == [*range(900, 999)]
    assert served.get(f"{log}/search?limit=0").json() == {
        "count": 2,
        "numbers": [999, 1000],
        "lines": [],
        "total_lines": 1000,
    }
    assert served.get(f"{log}/search?level=INFO").json()["count"] == 0
    invalid = served.get(f"{log}/search?q=(&regex=true")
    assert (invalid.status, invalid.json()["reason"]) == (422, "Usage")
    assert served.get(f"{log}/search?q=a&level=INFO").status == 422
    assert served.get(f"{log}/search?q=").status == 422


def test_a_stream_can_count_lines_without_sending_them(served: Served, log: str, tmp_path: Path) -> None:
    [(event, _, data), (end, _, state)] = messages(served, f"{log}/stream?count_only=true")
    assert (event, data["total_lines"], end, state["state"]) == ("log", 1000, "end", "succeeded")
    go = tmp_path / "go"
    run = served.post("/api/v1/deployments/wait/runs", {"parameters": {"path": str(go)}}).json()["run_id"]
    stream = messages(served, f"/api/v1/runs/{run}/logs/stream?count_only=true")
    assert next(stream)[2]["total_lines"] == 1
    assert served.get(f"/api/v1/runs/{run}/logs/lines").json()["complete"] is False
    go.touch()
    assert [data.get("total_lines") for _, _, data in stream] == [2, None]
