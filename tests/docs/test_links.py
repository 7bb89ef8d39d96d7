"""The targets of all links in the pages exist, and no merge of a page is half-done."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, ROOT, anchors, relative_links, without_code


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    missing = []
    for link in relative_links(page):
        file, _, anchor = link.partition("#")
        target = page if not file else page.parent / file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_has_conflict_markers(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}) .*", without_code(page), re.MULTILINE) == []


def test_files_named_in_the_readme_exist() -> None:
    named = re.findall(r"`((?:docs|schemas|tests|\.ci)/[\w./-]+|[A-Z]+\.md)`", (ROOT / "README.md").read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_linked_from_the_readme_directly_or_indirectly() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        linked = [(page.parent / link.partition("#")[0]).resolve() for link in relative_links(page)]
        waiting += [target for target in linked if target.suffix == ".md" and target not in seen]
    assert set(DOCS.rglob("*.md")) - seen == set()


def test_the_make_targets_that_pages_and_benchmarks_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in (*PAGES, *sorted((ROOT / "benchmarks").glob("*.py"))):
        named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", file.read_text(), re.MULTILINE))
        assert named <= targets, file.name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_contains_a_path_of_a_developer_machine(page: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/\S*", page.read_text()) == []


def test_pictures_load_nothing_from_other_hosts() -> None:
    picture = (DOCS / "images" / "status.svg").read_text()
    assert re.findall(r"url\((?!#)[^)]*\)|<image|<script|(?:/tmp|/work|/root)/", picture) == []
