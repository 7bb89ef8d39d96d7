"""Browsers keep the static files of the dashboard until they change."""

import re
from pathlib import Path

import pytest

from controller.api.dashboard import templating
from controller.api.dashboard.static_files import FOREVER, folder_url, static_files, static_folder
from tests.unit.api.conftest import Served

FOLDER = Path(templating.__file__).parent
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))
TEMPLATES = sorted((FOLDER / "templates").iterdir())


def test_browsers_keep_static_files(served: Served) -> None:
    url = f"{static_folder()}/live.js"
    for headers in ({}, {"Accept_Encoding": "gzip"}, {"If_None_Match": served.get(url).headers["etag"]}):
        assert served.get(url, **headers).headers["cache-control"] == FOREVER, headers


def test_files_at_the_url_of_another_version_are_served_but_not_kept(served: Served) -> None:
    answer = served.get("/static/0123456789abcdef/live.js")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, no-cache"
    assert served.get(f"{static_folder()}/nothing.js").status == 404


def test_a_changed_file_changes_the_urls_of_all() -> None:
    files = static_files()
    changed = folder_url({**files, "live.js": files["times.js"]})
    renamed = folder_url({("lives.js" if name == "live.js" else name): file for name, file in files.items()})
    assert static_folder() == folder_url(files)
    assert len({static_folder(), changed, renamed}) == 3
    assert re.fullmatch(r"/static/[0-9a-f]{16}", changed)


@pytest.mark.parametrize("path", ["/", "/deployments/add", "/graph", "/runs", "/settings", "/login"])
def test_all_static_files_of_a_page_are_in_the_folder_with_the_digest(served: Served, path: str) -> None:
    page = served.get(path, Accept="text/html").text
    urls = re.findall(r'"(/static/[^"#]+)', page)
    assert len(urls) >= 5
    assert [url for url in urls if url.rpartition("/")[0] != static_folder()] == []
    assert {served.get(url).status for url in set(urls)} == {200}


def test_scripts_import_with_relative_urls_and_templates_name_no_folder() -> None:
    imports = [url for script in SCRIPTS for url in re.findall(r'(?:from|import) "([^"]+)"', script.read_text())]
    assert len(imports) > 30
    assert [url for url in imports if not url.startswith("./")] == []
    assert [path.name for path in (*SCRIPTS, *TEMPLATES) if "/static/" in path.read_text()] == []
