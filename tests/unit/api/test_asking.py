"""How lists are asked: pages that go on, and questions that make no sense, which are refused and not passed over."""

import pytest

from controller.api.web.limits import MAX_PAGE_BYTES
from controller.client import Client
from tests.unit.api.conftest import Served

RUN = "01a20a24-34e0-7000-97e2-82f65b2a00a9"
LISTS = ("deployments?search=a", "runs?deployment=add", "events?severity=info", "deployments/far/occurrences?limit=5")
REFUSED = "This cursor is not one of this list."


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    ["0", "-1", "x", "", "%00", "%ff", "1" * 60, "0.add", RUN, "1.00000000", f"{RUN}.00000000", "2026-01-01T00:00:00Z"],
)
def test_a_cursor_that_we_have_not_made_is_refused(served: Served, path: str, cursor: str) -> None:
    answer = served.get(f"/api/v1/{path}&cursor={cursor}")
    assert (answer.status, answer.json()["detail"]) == (422, REFUSED)
    assert "`next`" in answer.json()["hint"]


def test_a_cursor_goes_on_with_the_same_questions_only(fresh: Served) -> None:
    for number in range(3):
        fresh.run("add", a=number)
    found = fresh.get("/api/v1/runs?state=succeeded&state=failed&tag=sums&limit=1").json()
    [first], cursor = found["items"], found["next"]
    same = fresh.get(f"/api/v1/runs?cursor={cursor}&tag=sums&state=failed&state=succeeded&limit=2").json()
    assert [run["id"] < first["id"] for run in same["items"]] == [True, True]
    for questions in ("", "tag=sums", "state=succeeded&tag=sums", "state=succeeded&state=failed&tag=other"):
        answer = fresh.get(f"/api/v1/runs?{questions}&cursor={cursor}")
        assert (answer.status, answer.json()["detail"]) == (422, REFUSED), questions
    events = fresh.get("/api/v1/events?limit=1").json()["next"]
    assert (
        fresh.get(f"/api/v1/events?limit=1&cursor={events}").json()["items"][0]["id"] == int(events.split(".")[0]) - 1
    )
    for path in ("runs", "deployments", "deployments/far/occurrences"):
        assert fresh.get(f"/api/v1/{path}?cursor={events}").status == 422, path


def test_a_page_of_runs_ends_early_where_their_parameters_are_large(fresh: Served) -> None:
    client = Client(fresh.url, fresh.token)
    texts = [
        str(number) * size for number, size in enumerate((10, 400_000, 500_000, 300_000, 900_000, 20, 1_000_000, 30))
    ]
    made = [client.trigger("speak", {"text": text, "times": 0})["run_id"] for text in texts][::-1]
    cursor: str | None = ""
    pages = []
    while cursor is not None:
        answer = fresh.get("/api/v1/runs?limit=100" + (f"&cursor={cursor}" if cursor else ""))
        assert len(answer.body) < 2 * MAX_PAGE_BYTES
        pages.append([run["id"] for run in answer.json()["items"]])
        cursor = answer.json()["next"]
    assert [one for page in pages for one in page] == made
    assert [len(page) for page in pages] == [3, 1, 2, 2]
    assert [run["parameters"]["text"] for run in client.runs()] == texts[::-1]
    assert [run["id"] for run in client.runs(limit=1)] == made
