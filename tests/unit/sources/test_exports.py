"""An export of a commit is complete, immutable, and has no link to the outside."""

import stat
import threading
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.sources.exports import Entry, Exports, Kind
from controller.sources.git import GitSource
from tests.conftest import GitRepository

COMMIT = "a" * 40


def export(top: Path, *entries: Entry) -> Path:
    return Exports(top / "exports").write(COMMIT, entries)


def file(path: str, content: bytes = b"x", kind: Kind = Kind.FILE) -> Entry:
    return Entry(path=path, kind=kind, content=content)


def link(path: str, target: str) -> Entry:
    return Entry(path=path, kind=Kind.LINK, content=target.encode())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_export_has_the_modes_of_the_commit_and_is_read_only(tmp_path: Path, repository: GitRepository) -> None:
    repository.write("flows/run.sh", "#!/bin/sh\n").chmod(0o755)
    repository.write("flows/data.txt", "a\nb\n")
    repository.write(".gitattributes", "* text eol=crlf\nflows/secret.py export-ignore\n")
    repository.write("flows/secret.py", "$Id$\n")
    commit = repository.commit()
    source = GitSource(repository.path, ref=None, path="deployments", exports=tmp_path / "exports")
    revision = source.observe()
    assert not source.has_checkout(revision)
    root = source.checkout(revision)
    assert source.has_checkout(revision)
    assert root == tmp_path / "exports" / commit / "tree"
    assert mode(root / "flows" / "run.sh") == 0o555
    assert mode(root / "flows" / "secret.py") == 0o444
    assert {mode(root), mode(root / "flows")} == {0o555}
    assert mode(tmp_path / "exports") == 0o700
    assert (root / "flows" / "data.txt").read_bytes() == b"a\nb\n"
    assert (root / "flows" / "secret.py").read_text(encoding="utf-8") == "$Id$\n"
    assert not (root / ".git").exists()


def test_an_export_is_written_once(tmp_path: Path, repository: GitRepository) -> None:
    repository.commit({"a.py": "1"})
    source = GitSource(repository.path, ref=None, path="", exports=tmp_path / "exports")
    before = source.checkout(source.observe()).stat().st_ino
    assert source.checkout(source.observe()).stat().st_ino == before
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [repository.head()]


def test_links_inside_are_exported_and_links_to_the_outside_are_not(tmp_path: Path) -> None:
    root = export(
        tmp_path,
        file("a/b.py"),
        link("inside", "a/b.py"),
        link("a/sibling", "b.py"),
        link("a/up", "../inside"),
        link("a/dir", ".."),
        link("absolute", "/etc/passwd"),
        link("out", "../outside"),
        link("top", ".."),
        link("a/out", "../../outside"),
        link("a/sly", "x/../../../outside"),
        link("nested", "a/dir/../../outside"),
    )
    links = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink()}
    assert links == {"inside", "a/sibling", "a/up", "a/dir"}
    assert all((root / name).resolve().is_relative_to(root) for name in links)
    assert (root / "inside").read_bytes() == b"x"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", ".git/hooks/x", "a/.git/config", ""])
def test_a_path_outside_the_tree_is_rejected(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match="leads outside the tree"):
        export(tmp_path, file("good.py"), file(path))
    assert not Exports(tmp_path / "exports").has(COMMIT)
    assert not (tmp_path / "x").exists()


def test_an_incomplete_export_of_a_crashed_controller_is_ignored_and_collected(tmp_path: Path) -> None:
    half = tmp_path / "exports" / ".999999999-dead" / "tree" / "deep"
    half.mkdir(parents=True)
    (half / "a.py").write_text("1", encoding="utf-8")
    half.chmod(0o555)
    exports = Exports(tmp_path / "exports")
    assert not exports.has(COMMIT)
    exports.collect(lambda: [COMMIT])
    assert list((tmp_path / "exports").iterdir()) == []


def test_unused_exports_are_removed_and_the_others_stay(tmp_path: Path) -> None:
    exports = Exports(tmp_path / "exports")
    other = "b" * 40
    for commit in (COMMIT, other):
        root = exports.write(commit, [file("deep/down/a.py")])
        (root.parent / "pycache").mkdir()
    exports.collect(lambda: [other])
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [other]
    assert exports.has(other)
    assert not exports.has(COMMIT)


def test_no_export_is_verified_between_the_search_for_needed_ones_and_the_removal(tmp_path: Path) -> None:
    exports = Exports(tmp_path / "exports")
    exports.write(COMMIT, [file("a.py")])
    verified: list[bool] = []
    run = threading.Thread(target=lambda: verified.append(exports.verify(COMMIT)))

    def find_needed() -> list[str]:
        run.start()
        return []

    exports.collect(find_needed)
    run.join()
    assert verified == [exports.has(COMMIT)] == [False]


def test_a_write_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        export(tmp_path, file("a/b.py"), file("../x"))
    assert list((tmp_path / "exports").iterdir()) == []


def test_an_export_that_cannot_be_removed_is_reported_and_the_others_are_removed(tmp_path: Path) -> None:
    exports = Exports(tmp_path / "exports")
    exports.write(COMMIT, [file("a.py")])
    stuck = tmp_path / "exports" / ("s" * 255)
    stuck.mkdir()
    with pytest.raises(SourceError, match="could not be removed"):
        exports.collect(lambda: [])
    assert list((tmp_path / "exports").iterdir()) == [stuck]


def test_collect_does_nothing_before_the_first_export(tmp_path: Path) -> None:
    Exports(tmp_path / "none").collect(lambda: [])
    assert not (tmp_path / "none").exists()


def test_a_failed_write_is_a_source_error(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file", encoding="utf-8")
    with pytest.raises(SourceError, match="could not be exported"):
        export(tmp_path, file("a.py"))
