"""Pages show who changed what, and why: the strip, the history of commits, deployments and runs."""

import re
from pathlib import Path

from tests.conftest import new_repository
from tests.unit.api.conftest import Served, serve

EVIL = "<b>&\x1b[31m'\"{{7*7}}"
NIGHTLY = "name: nightly\ncommand: [echo, hi]\n"
UNREAD = NIGHTLY.replace("nightly", "unread")


def page_of(served: Served, path: str) -> str:
    return served.get(path, Accept="text/html").text


def commit(served: Served, subject: str, files: dict[str, str]) -> str:
    """Commit the files with this subject, and wait until they are applied; return the id of the commit."""
    served.repository.commit(files, message=subject)
    served.post("/api/v1/reconcile", {"wait": True})
    return served.repository.head()


def history(page: str) -> list[str]:
    """Return the text of each row of the history."""
    table = page.partition('<table class="stack commits">')[2].partition("</table>")[0]
    rows = (re.sub(r"<[^>]*>", " ", row) for row in table.partition("<tbody>")[2].split("<tr>")[1:])
    return [" ".join(row.split()) for row in rows]


def test_each_commit_has_a_row_with_its_author_and_what_it_changed(served: Served) -> None:
    first = commit(served, "Add the nightly job", {"deployments/nightly.yaml": NIGHTLY})
    second = commit(served, EVIL, {"deployments/nightly.yaml": f"{NIGHTLY}tags: [x]\n"})
    page = page_of(served, "/source")
    evil, added, *_ = history(page)
    assert evil.startswith(f"{second[:9]} applied &lt;b&gt;&amp;\\x1b[31m&#39;&#34;{{{{7*7}}}} Ada")
    assert evil.endswith("~1 changed nightly 0")
    assert added.startswith(f"{first[:9]} Add the nightly job Ada")
    assert added.endswith("+1 added nightly 0")
    assert "<b>" not in page
    older = page_of(served, f"/source?before={second}")
    assert history(older)[0] == added
    assert "Unknown filter" in page_of(served, "/source?page=2")
    assert served.get("/api/v1/commits?limit=1").json() == [
        {
            "sha": second,
            "author": "Ada",
            "author_date": served.get("/api/v1/status").json()["commit"]["author_date"],
            "subject": "<b>&\\x1b[31m'\"{{7*7}}",
            "added": {"count": 0, "names": []},
            "changed": {"count": 1, "names": ["nightly"]},
            "removed": {"count": 0, "names": []},
            "pr_url": None,
        }
    ]


def test_the_strip_a_deployment_a_run_and_a_deleted_deployment_name_their_commits(served: Served) -> None:
    first = commit(served, "Add a job", {"deployments/unread.yaml": UNREAD})
    run_id = served.run("unread")["id"]
    commit(served, "Unrelated", {"README": "x"})
    deployment, run = page_of(served, "/deployments/unread"), page_of(served, f"/runs/{run_id}")
    strip = deployment.partition('id="source-bar"')[2].partition("<main")[0]
    assert "Unrelated" in strip
    assert "Ada" in strip
    main = deployment.partition("<main")[2]
    assert f'title="{first}"' in main
    assert "Add a job" in main
    assert "Add a job" in run.partition("<main")[2]
    (served.repository.path / "deployments/unread.yaml").unlink()
    removal = commit(served, "Nobody reads it", {})
    deleted = page_of(served, "/deployments/unread").partition("<main")[2]
    assert f'title="{removal}"' in deleted
    assert "Nobody reads it" in deleted


def test_the_history_counts_failed_runs_and_links_pull_requests_and_lines(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repo")
    repository.git("remote", "add", "origin", "git@github.com:acme/shop.git")
    failing = "name: failing\ncommand: [sh, -c, exit 3]\n"
    broken = "name: broken\ncommand: 5\n"
    first = repository.commit({"deployments/nightly.yaml": NIGHTLY, "deployments/failing.yaml": failing})
    served = serve(repository, tmp_path / "state")
    try:
        for _ in range(2):
            served.run("failing")
        head = commit(served, "Break it (#123)", {"deployments/broken.yaml": broken})
        page = page_of(served, "/source")
        assert [row.split()[-1] for row in history(page)] == ["0", "2"]
        assert f'href="/runs?state=failed&amp;state=timed_out&amp;state=crashed&amp;revision={first}"' in page
        assert 'href="https://github.com/acme/shop/pull/123"' in page
        [newest, _] = served.get("/api/v1/commits").json()
        assert newest["pr_url"] == "https://github.com/acme/shop/pull/123"
        for sha in (first, head):
            link = f'href="https://github.com/acme/shop/commit/{sha}"'
            assert link in page
        assert f'href="https://github.com/acme/shop/blob/{head}/deployments/broken.yaml#L2"' in page
        assert f'href="https://github.com/acme/shop/commit/{first}"' in page_of(served, "/deployments/nightly")
        strip = page.partition('id="source-bar"')[2].partition("<main")[0]
        assert 'href="/source#findings"' in strip
        assert "1 file invalid" in strip
    finally:
        served.controller.stop()
