"""Dashboard pages for deleted or unknown objects, invalid filters and very large values."""

import html
import re

import pytest

from tests.conftest import wait_until
from tests.unit.api.conftest import Served

TAKE = """
def take(go: str, **rest):
    import os, time
    while go and not os.path.exists(go):
        time.sleep(0.02)
"""


def page_of(served: Served, path: str, status: int = 200) -> str:
    answer = served.get(path, Accept="text/html")
    assert answer.status == status, answer
    return answer.text


def test_the_page_of_a_deleted_deployment_shows_the_commit_and_how_to_restore_it(fresh: Served) -> None:
    text = "# as it was written\nname: left\ncommand: [echo, hello]\n"
    fresh.commit({"deployments/left.yaml": text})
    run = fresh.run("left")
    (fresh.repository.path / "deployments/left.yaml").unlink()
    commit = fresh.commit({"note.txt": "gone"})
    page = page_of(fresh, "/deployments/left", 404)
    assert commit[:9] in page
    assert 'id="live"' not in page  # the page is not polled
    assert "controller restore left" in page
    assert text in page
    assert f'href="/runs/{run["id"]}"' in page
    assert fresh.get("/api/v1/deployments/left").status == 404
    fresh.commit({"deployments/left.yaml": text})
    assert "controller restore" not in page_of(fresh, "/deployments/left")


def test_an_unknown_name_gets_a_suggestion(served: Served) -> None:
    page = page_of(served, "/deployments/speek", 404)
    assert "Did you mean speak?" in page
    assert '<nav aria-label="Pages">' in page
    assert 'id="live"' not in page  # the page is not polled


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/runs?state=nonsense", "Unknown state 'nonsense'; use one of "),
        ("/runs?trigger=nobody", "Unknown trigger 'nobody'"),
        ("/runs?stat=failed", "Unknown filter 'stat'."),
        ("/deployments?sync=x", "Unknown sync 'x'; use one of Synced,"),
        ("/deployments?health=x", "Unknown health 'x'"),
        ("/deployments?page=99", "Page 99 does not exist; this is the last page."),
        ("/events?severity=x", "Unknown severity 'x'"),
    ],
)
def test_an_invalid_filter_is_reported(served: Served, path: str, words: str) -> None:
    page = html.unescape(page_of(served, path))
    assert re.search(rf'<p class="note warn" role="status">{re.escape(words)}', page)
    assert not re.search(r'note warn" role="status">(?:Unknown|Page)', page_of(served, path.partition("?")[0]))


def test_a_page_number_beyond_the_end_shows_the_last_page(served: Served) -> None:
    page = page_of(served, "/deployments?page=99")
    assert "<b>4</b> of 4" in page
    assert 'href="/deployments/add"' in page
    assert "No deployments match" not in page


def test_an_invalid_cursor_of_a_page_is_rejected(served: Served) -> None:
    assert "before" in page_of(served, "/runs?before=odd", 422)


def test_a_run_with_many_parameters_shows_the_first_and_links_to_all(fresh: Served) -> None:
    fresh.commit({"deployments/take.yaml": "name: take\nflow: flows/take.py:take\n", "flows/take.py": TAKE})
    good = fresh.run("take", go="")
    many = {f"parameter-{number}": number for number in range(8_000)}
    gate = fresh.state / "go"
    made = fresh.post("/api/v1/deployments/take/runs", {"parameters": {**many, "go": str(gate)}})
    path = f"/runs/{made.json()['run_id']}"
    wait_until(lambda: fresh.get(f"/api/v1{path}").json()["state"] == "running")
    assert len(fresh.get(path, Accept="text/html").body) < 50_000
    answer = fresh.get(f"{path}?tab=parameters", Accept="text/html")
    assert len(answer.body) < 200_000
    assert "Showing the first 200 of 8,003 lines" in answer.text
    assert f'<a href="/api/v1{path}">show all as JSON</a>' in answer.text
    assert f'href="/runs/{good["id"]}"' in answer.text
    assert "and 7,801 more" in answer.text
    assert fresh.get(f"{path}?tab=parameters", Accept="text/html", If_None_Match=answer.headers["etag"]).status == 304
    gate.touch()
    assert fresh.wait_for(made.json()["run_id"])["state"] == "succeeded"


def test_a_very_long_value_is_shortened(served: Served) -> None:
    run = served.run("speak", text="x" * 500_000, times=0)
    answer = served.get(f"/runs/{run['id']}?tab=parameters", Accept="text/html")
    assert len(answer.body) < 200_000
    assert "Showing the first 20,000 of 500,0" in answer.text
