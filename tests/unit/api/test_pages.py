"""The dashboard pages: they open, show the important information, and escape every value."""

import html
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from benchmarks.history import write_history
from controller.api.dashboard.charts import strip_chart
from controller.api.dashboard.template_filters import seconds, short
from controller.api.dashboard.timeline_chart import timeline
from controller.model.runs import RunState
from controller.queries.fire_timeline import SLOT, SlotFires
from controller.queries.overview import Slot
from controller.store.run_search import MAX_EXAMINED
from controller.store.run_statistics import Bar
from tests.conftest import NOW, GitRepository, new_repository
from tests.unit.api.conftest import DEPLOYMENTS, FLOWS, Served, serve

EVIL = "<img src=x onerror=alert(1)>\"'`{{'SS'*2+'TI'}}</script>"
TABS = ("runs", "schedule", "definition", "parameters", "events")
EVIL_TABS = tuple(f"/deployments/evil?tab={tab}" for tab in TABS)
PAGES = ("/", "/deployments", *EVIL_TABS, "/runs", "/source", "/events", "/events?about=evil")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory, committed: Path) -> Iterator[Served]:
    """A controller for tests that commit deployments with names of their own, valid ones and others."""
    top = tmp_path_factory.mktemp("changed")
    instance = serve(GitRepository(shutil.copytree(committed, top / "repo")), top / "state")
    yield instance
    instance.controller.stop()


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize(
    "path",
    ["/", "/deployments", "/deployments/add", "/graph", "/runs", "/backfills", "/source", "/events", "/settings"],
)
def test_a_page_opens_and_has_a_heading_and_a_title(served: Served, path: str) -> None:
    answer = served.get(path, Accept="text/html")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert re.search(r"<h1[^>]*>.+?</h1>", answer.text, re.DOTALL)
    assert re.search(r"<title>.+ · controller</title>", answer.text)
    assert '<html lang="en">' in answer.text
    for image in re.findall(r"<svg(?![^>]*aria-)", answer.text):
        pytest.fail(f"a picture without words: {image}")


def test_empty_states_have_a_message(served: Served) -> None:
    page = served.get("/runs?state=crashed", Accept="text/html").text
    assert "No runs match" in page
    assert "Nothing. All deployments are applied" in served.get("/", Accept="text/html").text


def test_the_source_page_explains_every_pass_that_did_not_apply_everything(fresh: Served) -> None:
    fresh.commit({"deployments/all.yaml": "---\n"})
    page = fresh.get("/source", Accept="text/html").text
    assert re.search(r">PruneWithheld: Applied \S+, except for its deletions\.</td>", page)
    assert ">Applied</td>" in page
    fresh.commit({"deployments/all.yaml": "name: other\ncommand: [echo, other]\n"})
    assert "None. Every manifest is valid." in fresh.get("/source", Accept="text/html").text


def test_old_runs_are_reached_page_by_page(fresh: Served) -> None:
    fresh.run("add")
    write_history(fresh.state / "state.db", MAX_EXAMINED + 100)
    page = fresh.get("/runs?tag=nobody", Accept="text/html").text
    assert "No matches among the runs searched so far" in page
    further = page.partition('<a href="?')[2].partition('"')[0].replace("&amp;", "&")
    assert "No runs match" in fresh.get(f"/runs?{further}", Accept="text/html").text
    path = f"/api/v1/runs?trigger=manual&revision={'0' * 40}"
    first = fresh.get(path).json()
    assert first["items"] == []
    assert fresh.get(f"{path}&cursor={first['next']}").json() == {"items": [], "next": None}


def test_every_value_of_a_manifest_an_operator_and_a_run_is_escaped(changed: Served) -> None:
    evil = quoted(EVIL)
    changed.commit(
        {
            "deployments/evil.yaml": f"""
name: evil
command: [echo, {evil}]
description: {evil}
tags: [{evil}]
version: {evil}
parameters: {{text: {evil}}}
env: {{EVIL: {evil}}}
schedules: [{{cron: "0 0 1 1 *", parameters: {{other: {evil}}}}}]
""",
            f"deployments/{'<b>x</b>'.replace('/', '-')}.yaml": f"name: {evil}\nflow: {evil}\n",
        }
    )
    assert changed.post("/api/v1/deployments/evil/hold", {"reason": EVIL}).status == 200
    run = changed.run("evil", text=EVIL)
    spoken = changed.run("speak", text=EVIL)
    for path in (*PAGES, f"/runs/{run['id']}", f"/runs/{spoken['id']}", "/deployments?search=%3Cimg%20src%3Dx"):
        page = changed.get(path, Accept="text/html").text
        assert "<img" not in page, path
        assert "SSSSTI" not in page, path
    assert "&lt;img" in changed.get("/deployments/evil", Accept="text/html").text


def test_filters_are_escaped_and_invalid_ones_are_ignored(served: Served) -> None:
    for path in ("/deployments?search=", "/runs?deployment=", "/runs?tag=", "/events?about=", "/login?next="):
        page = served.get(f"{path}%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%22", Accept="text/html")
        assert page.status == 200
        assert "<img" not in page.text
    assert served.get("/runs?state=odd&trigger=odd", Accept="text/html").status == 200


def test_a_deployment_page_shows_where_fields_are_defined_and_its_fire_times(changed: Served) -> None:
    changed.commit(
        {
            "controller.yaml": "defaults:\n  timeout: 1h\n",
            "deployments/daily.yaml": """\
name: daily
command: [echo]
tags: [a]
schedules:
  - {cron: "0 9 * * *", timezone: America/New_York}
""",
        }
    )
    page = changed.get("/deployments/daily?tab=definition", Accept="text/html").text
    for field, place in (("tags", "deployments/daily.yaml:3"), ("timeout", "controller.yaml:2")):
        assert re.search(rf"{field}</th>.*?{re.escape(place)}</span></td>", page, re.DOTALL), field
    page = changed.get("/deployments/daily?tab=schedule", Accept="text/html").text
    assert len(re.findall(r"<td data-day=", page)) == 35
    assert page.count('data-zone="America/New_York" data-clock>09:00</time>') >= 27


def test_an_invalid_deployment_shows_its_findings_and_last_good_version(changed: Served) -> None:
    changed.commit({"deployments/bad.yaml": "name: bad\ncommand: [echo]\ntags: [a]\n"})
    changed.commit({"deployments/bad.yaml": "name: bad\ncommand: [echo]\ntag: [a]\n"})
    page = changed.get("/deployments/bad?tab=definition", Accept="text/html").text
    assert "deployments/bad.yaml:3:1" in page
    assert "did you mean tags" in page
    assert "the last valid version, shown below, stays active" in page
    assert re.search(r"tags</th>.*?deployments/bad.yaml:3</span></td>", page, re.DOTALL)
    changed.commit({"deployments/new.yaml": "name: new\ncommand: 5\n"})
    page = changed.get("/deployments/new?tab=schedule", Accept="text/html").text
    assert "Never valid: nothing runs until you fix the manifest" in page
    assert "deployments/new.yaml:2:" in page
    assert "Available once a valid version is applied." in page


FAILS = "def main(days: int = 1):\n    raise ValueError('no')\n"


def test_a_run_is_compared_with_the_last_successful_run(changed: Served) -> None:
    manifest = "name: one\nflow: flows/one.py:main\n"
    changed.commit({"deployments/one.yaml": manifest, "flows/one.py": "def main(days: int = 1):\n    return days\n"})
    good = changed.run("one")
    same = changed.run("one", days=3)
    page = changed.get(f"/runs/{same['id']}?tab=details", Accept="text/html").text
    assert f'href="/runs/{good["id"]}"' in page
    assert ">same commit<" in page
    assert re.search(r'days</span>: <span class="muted">not set</span> → <ins class="mono">3</ins>', page)
    assert "Both runs used the same commit" in changed.get(f"/runs/{same['id']}/diff", Accept="text/html").text
    changed.commit({"flows/one.py": FAILS})
    bad = changed.run("one")
    page = changed.get(f"/runs/{bad['id']}", Accept="text/html").text
    assert f'href="/runs/{bad["id"]}/diff"' in page
    page = changed.get(f"/runs/{bad['id']}/diff", Accept="text/html").text
    assert "flows/one.py" in page
    assert "<code>    raise ValueError(&#39;no&#39;)</code>" in page
    assert changed.get(f"/runs/{'0' * 8}-0000-7000-8000-{'0' * 12}/diff", Accept="text/html").status == 404
    comparison = changed.get(f"/api/v1/runs/{bad['id']}/diff?with={good['id']}").json()
    assert comparison["other_id"] == good["id"]
    assert [commit["author"] for commit in comparison["commits"]["new"]] == ["Ada"]
    [file] = comparison["files"]["files"]
    assert (file["path"], file["kind"], file["is_own"]) == ("flows/one.py", "changed", True)
    assert changed.get(f"/api/v1/runs/{bad['id']}/diff").json()["other_id"] == same["id"]
    assert changed.get(f"/api/v1/runs/{good['id']}/diff").status == 404
    page = changed.get(f"/runs/{bad['id']}/diff?with={bad['id']}", Accept="text/html").text
    assert "A run cannot be compared with itself." in page
    assert "No earlier run of" in changed.get(f"/runs/{good['id']}/diff", Accept="text/html").text


def test_the_form_of_a_command_explains_how_parameters_are_passed(served: Served) -> None:
    words = 'in the file <span class="mono">$CONTROLLER_PARAMETERS_FILE</span>, not as arguments'
    assert words in served.get("/deployments/far", Accept="text/html").text
    assert words not in served.get("/deployments/add", Accept="text/html").text


def test_without_scripts_all_actions_are_disabled(served: Served) -> None:
    for path in ("/deployments/add", "/deployments/far", "/source"):
        page = served.get(path, Accept="text/html").text
        assert "Without JavaScript, this page shows" in page
        for form in re.findall(r"<form[^>]*>", page):
            assert 'role="search"' in form or 'method="post"' in form or 'method="dialog"' in form, form
        for button in re.findall(r"<button[^>]*(?:data-post|primary)[^>]*>", page):
            assert "disabled" in button or "ask-yes" in button or "author-save" in button, button


ELSEWHERE = [
    "//evil.test",
    "https://evil.test",
    "/\\evil.test",
    "/%5cevil.test",
    "/%2fevil.test",
    "/%252fevil.test",
    "javascript:alert(1)",
    "/api/v1/x",
    "/api/v1/x?y",
    "?state=failed",
    "/runs%0d%0aX: y",
    "/runs%250d%250aX: y",
    "/runs?%0d%0aX: y",
    "/runs?x%00",
    "/runs?x%09y",
    "//evil.test?x=/runs",
    "/%09/evil.test",
    "/runs%23//evil.test",
    "/runs%3fx%23y",
    "/runs%3fx%ff",
    "/runs?" + "x" * 3000,
    "/" + "x" * 500 + "!",
]


@pytest.mark.parametrize(
    "asked",
    [
        "/runs?state=failed&tag=a%20b",
        "/deployments?search=%C3%A9%2F%5C%0d%0a&page=2",
        "/events?about=add",
        "/runs?x=//y",
    ],
)
def test_the_login_redirects_to_the_requested_page(served: Served, asked: str) -> None:
    led = served.ask("GET", asked, headers={"Accept": "text/html"}, token=None)
    assert (led.status, led.headers["location"].count("?")) == (303, 1)
    page = served.ask("GET", led.headers["location"], token=None).text
    [target] = re.findall(r'name="next" value="([^"]*)"', page)
    assert html.unescape(target) == asked
    form = urlencode({"code": served.token, "next": html.unescape(target)}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url}
    assert served.ask("POST", "/login", form, kind, token=None).headers["location"] == asked


@pytest.mark.parametrize("asked", ["//evil.test?x", "/%5cevil.test?x", "/%2fevil.test", "/runs?" + "x" * 20_000])
def test_a_browser_is_redirected_to_the_login_from_any_target(served: Served, asked: str) -> None:
    led = served.ask("GET", asked, headers={"Accept": "text/html"}, token=None)
    assert (led.status, led.headers["location"].startswith("/login?next=%2F")) == (303, True)
    assert served.ask("GET", led.headers["location"], token=None).status == 200


@pytest.mark.parametrize("target", ELSEWHERE)
def test_the_login_redirects_to_dashboard_pages_only(served: Served, target: str) -> None:
    sent = target.replace(" ", "+").replace("&", "%26")
    assert 'name="next" value="/"' in served.ask("GET", f"/login?next={sent}", token=None).text
    form = f"code={served.token}&next={sent}".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url}
    assert served.ask("POST", "/login", form, kind, token=None).headers["location"] == "/"


def test_a_session_starts_with_a_login_link_and_ends_with_logout(served: Served) -> None:
    link = served.controller._web.login_link()
    code = link.partition("#")[2]
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Origin": served.url}
    first = served.ask("POST", "/login", f"code={code}&next=/runs".encode(), kind, token=None)
    assert (first.status, first.headers["location"]) == (303, "/runs")
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    session = {"Cookie": cookie.partition(";")[0]}
    assert served.ask("GET", "/", headers=session, token=None).status == 200
    second = served.ask("POST", "/login", f"code={code}".encode(), kind, token=None)
    assert second.status == 401
    assert "is invalid or has expired" in second.text
    assert served.ask("POST", "/logout", b"", {**session, "Origin": served.url}, token=None).status == 303
    assert served.ask("GET", "/api/v1/status", headers=session, token=None).status == 401


def test_an_ended_session_is_rejected_after_a_restart(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repo")
    repository.commit({"deployments/all.yaml": DEPLOYMENTS, "flows/all.py": FLOWS})
    before = serve(repository, tmp_path / "state")
    cookies = [before.log_in().partition("=")[2] for _ in range(2)]
    headers = {"Cookie": f"controller_{before.port}={cookies[0]}", "Origin": before.url}
    assert before.ask("POST", "/logout", b"", headers, token=None).status == 303
    before.controller.stop()
    after = serve(repository, tmp_path / "state")
    found = [{"Cookie": f"controller_{after.port}={cookie}"} for cookie in cookies]
    assert [after.ask("GET", "/api/v1/source", headers=one, token=None).status for one in found] == [401, 200]
    after.controller.stop()


def test_logout_shows_an_error_when_it_cannot_be_recorded(fresh: Served) -> None:
    headers = {"Cookie": fresh.log_in(), "Origin": fresh.url}
    record = fresh.state / "sessions.ended"
    record.mkdir()
    response = fresh.ask("POST", "/logout", b"", headers, token=None)
    assert response.status == 503
    assert "valid again when the controller restarts" in response.text
    assert "Max-Age=0" in response.headers["set-cookie"]
    assert fresh.ask("GET", "/api/v1/status", headers=headers, token=None).status == 401
    # The hint works: with a writable state directory, the next logout records this one too.
    record.rmdir()
    other = {"Cookie": fresh.log_in(), "Origin": fresh.url}
    assert fresh.ask("POST", "/logout", b"", other, token=None).status == 303
    assert len(record.read_text().splitlines()) == 2


def test_no_dashboard_file_refers_to_another_host() -> None:
    import controller.api.dashboard as pages

    files = [path for path in Path(pages.__file__).parent.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    assert len(files) > 15
    for path in files:
        text = re.sub(
            r"/\*.*?\*/|<!--.*?-->|^\s*//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        )
        assert not set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}, path
        assert "innerHTML =" not in text, path
        assert not re.search(r"\|\s*safe\b|autoescape\s+false|\beval\(|new Function|document\.write", text), path


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.035, "35 ms"),
        (0.0996, "100 ms"),
        (0.349, "0.35 s"),
        (12.4, "12 s"),
        (185, "3 min 5 s"),
        (7440, "2 h 4 min"),
        (86400, "1 d"),
    ],
)
def test_durations_are_formatted(count: float, words: str) -> None:
    assert seconds(count) == words


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("main@sha1:0123456789abcdef", "main@012345678"),
        ("sha1:0123456789abcdef", "012345678"),
        ("dir@sha256:0123456789abcdef", "dir@012345678"),
        ("feature/x@sha1:0123456789", "feature/x@012345678"),
        (None, "-"),
    ],
)
def test_revisions_are_shortened(revision: str | None, words: str) -> None:
    assert short(revision) == words


def test_failures_are_above_the_axis_of_the_timeline_and_all_else_below_it() -> None:
    fires = SlotFires(count=2, first=((NOW, "backup"), (NOW, "report")))
    slots = [
        Slot(start=NOW, succeeded=3, failed=1, other=0, upcoming=fires),
        Slot(start=NOW - SLOT, succeeded=1000, failed=0, other=0, upcoming=SlotFires(count=0, first=())),
    ]
    chart = timeline(slots, NOW)
    assert (chart.most_failed, chart.most_others) == (1, 1000)
    bad, good, due = chart.columns[0].blocks
    assert [block.tone for block in (bad, good, due)] == ["bad", "good", "next"]
    assert bad.y + bad.height == chart.axis == good.y
    assert bad.height > chart.axis - 5, "1000 successes do not make a failure small"
    assert round(due.y, 1) == round(good.y + good.height, 1)
    assert chart.columns[0].title == "now: 1 failed, 3 succeeded, backup, report due"
    assert all(block.y + block.height <= chart.height for column in chart.columns for block in column.blocks)


def test_a_strip_has_a_text_description() -> None:
    bars = [
        Bar(id=str(n), state=state, seconds=2.0**n) for n, state in enumerate((RunState.SUCCEEDED, RunState.FAILED))
    ]
    chart = strip_chart(bars)
    assert chart.title == "last 2 runs, 1 failed"
    assert chart.bars[0].height < chart.bars[1].height
    assert [bar.tone for bar in chart.bars] == ["good", "bad"]
