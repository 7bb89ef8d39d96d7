"""Modified exports are detected before they are used and written again, without affecting runs that execute them."""

import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.sources.exports import Entry, Exports, Kind
from controller.sources.git import GitSource
from tests.conftest import GitRepository

COMMIT = "a" * 40
ENTRIES = [
    Entry(path="flows/a.py", kind=Kind.FILE, content=b"print(1)\n"),
    Entry(path="flows/deep/data.txt", kind=Kind.FILE, content=b"good"),
    Entry(path="run.sh", kind=Kind.EXECUTABLE, content=b"#!/bin/sh\n"),
    Entry(path="link", kind=Kind.LINK, content=b"flows/a.py"),
]
# The tree itself, two directories, three files and a link.
IN_THE_LIST = 7


def written(top: Path) -> Exports:
    exports = Exports(top / "exports")
    exports.write(COMMIT, ENTRIES)
    return exports


def made_anew(exports: Exports) -> bool:
    """Verify or write the export, like `checkout`; return whether it was written."""
    if exports.verify(COMMIT):
        return False
    exports.write(COMMIT, ENTRIES)
    return True


@contextmanager
def opened_up(directory: Path) -> Iterator[None]:
    directory.chmod(0o755)
    yield
    directory.chmod(0o555)


def change_content(tree: Path) -> None:
    (tree / "flows/a.py").chmod(0o644)
    (tree / "flows/a.py").write_bytes(b"print(2)\n")
    (tree / "flows/a.py").chmod(0o444)


def truncate(tree: Path) -> None:
    os.truncate(tree / "run.sh", 0)


def remove(tree: Path) -> None:
    with opened_up(tree / "flows/deep"):
        (tree / "flows/deep/data.txt").unlink()


def add(tree: Path) -> None:
    with opened_up(tree / "flows/deep"):
        (tree / "flows/deep/extra").touch()


def change_mode(tree: Path) -> None:
    (tree / "run.sh").chmod(0o444)


def open_directory(tree: Path) -> None:
    (tree / "flows").chmod(0o755)


def turn_link(tree: Path) -> None:
    with opened_up(tree):
        (tree / "link").unlink()
        (tree / "link").symlink_to("flows/deep")


CHANGES: list[tuple[Callable[[Path], None], str]] = [
    (change_content, "flows/a.py was changed"),
    (truncate, "run.sh was changed"),
    (remove, "flows/deep/data.txt was removed"),
    (add, "flows/deep/extra was added"),
    (change_mode, "run.sh was changed"),
    (open_directory, "flows was changed"),
    (turn_link, "link was changed"),
]


@pytest.mark.parametrize(("change", "fault"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_the_next_controller_detects_a_modified_export_and_rewrites_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None], fault: str
) -> None:
    change(written(tmp_path).root(COMMIT))
    exports = Exports(tmp_path / "exports")
    with caplog.at_level(logging.WARNING):
        assert made_anew(exports)
    assert [vars(record)["fault"] for record in caplog.records] == [fault]
    assert (exports.root(COMMIT) / "flows/a.py").read_bytes() == b"print(1)\n"
    assert (exports.root(COMMIT) / "flows/deep/data.txt").read_bytes() == b"good"
    assert not made_anew(exports)
    assert not made_anew(Exports(tmp_path / "exports"))
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [COMMIT]


def lose_tree(folder: Path) -> None:
    opened = folder / "tree"
    for directory in (opened, *opened.rglob("*")):
        if directory.is_dir() and not directory.is_symlink():
            directory.chmod(0o755)
    shutil.rmtree(opened)


def lose_all_but_bytecode(folder: Path) -> None:
    lose_tree(folder)
    (folder / "complete").unlink()
    (folder / "lock").unlink()


def file_for_tree(folder: Path) -> None:
    lose_tree(folder)
    (folder / "tree").write_text("a file", encoding="utf-8")


def file_for_all(folder: Path) -> None:
    lose_tree(folder)
    shutil.rmtree(folder)
    folder.write_text("a file", encoding="utf-8")


def dangling_link(folder: Path) -> None:
    lose_tree(folder)
    shutil.rmtree(folder)
    folder.symlink_to(folder.parent / "nothing")


def lose_list(folder: Path) -> None:
    (folder / "complete").unlink()


def empty_list(folder: Path) -> None:
    os.truncate(folder / "complete", 0)


def half_list(folder: Path) -> None:
    os.truncate(folder / "complete", (folder / "complete").stat().st_size - 5)


def directory_for_list(folder: Path) -> None:
    (folder / "complete").unlink()
    (folder / "complete").mkdir()


def close(folder: Path) -> None:
    folder.chmod(0o000)


def close_tree(folder: Path) -> None:
    (folder / "tree").chmod(0o000)


HALVES = [
    lose_tree,
    lose_all_but_bytecode,
    file_for_tree,
    file_for_all,
    dangling_link,
    lose_list,
    empty_list,
    half_list,
    directory_for_list,
    close,
    close_tree,
]


@pytest.mark.parametrize("is_running", [True, False], ids=["while it runs", "after a restart"])
@pytest.mark.parametrize("damage", HALVES, ids=[damage.__name__ for damage in HALVES])
def test_an_incomplete_export_is_rewritten_without_its_bytecode(
    tmp_path: Path, damage: Callable[[Path], None], is_running: bool
) -> None:
    exports = written(tmp_path)
    folder = tmp_path / "exports" / COMMIT
    (folder / "pycache").mkdir()
    (folder / "pycache" / "stale.pyc").write_bytes(b"old")
    damage(folder)
    if not is_running:
        exports = Exports(tmp_path / "exports")
    # Root can read a tree without permissions. The changed mode then shows that the tree was modified.
    is_fine = damage is close and os.geteuid() == 0
    assert made_anew(exports) is not is_fine
    assert (exports.root(COMMIT) / "flows/a.py").read_bytes() == b"print(1)\n"
    assert is_fine or not (folder / "pycache").exists()
    assert exports.is_ready(COMMIT)
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [COMMIT]


def test_leftovers_of_a_crash_between_two_renames_are_collected(tmp_path: Path) -> None:
    exports = written(tmp_path)
    folder = tmp_path / "exports" / COMMIT
    aside = folder.with_name(f".replaced-{COMMIT}-00000000")
    folder.rename(aside)
    (tmp_path / "exports" / ".0badf00d-half").mkdir()
    assert made_anew(exports)
    exports.collect(lambda: [COMMIT])
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [COMMIT]


def test_an_export_is_compared_at_its_first_use_and_after_runs_that_could_change_it(tmp_path: Path) -> None:
    exports = written(tmp_path)
    assert not made_anew(exports)
    assert exports.compared == 0
    later = Exports(tmp_path / "exports")
    assert not later.is_ready(COMMIT)
    for _ in range(3):
        assert later.verify(COMMIT)
        assert later.is_ready(COMMIT)
    assert later.compared == IN_THE_LIST
    (tmp_path / "exports" / COMMIT / "doubt").write_text("a-run\n", encoding="utf-8")
    assert not later.is_ready(COMMIT)
    for _ in range(3):
        assert later.verify(COMMIT)
    assert later.compared == 2 * IN_THE_LIST


def test_the_runs_that_could_have_changed_an_export_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exports = written(tmp_path)
    (tmp_path / "exports" / COMMIT / "doubt").write_text("one\ntwo\none\n", encoding="utf-8")
    change_content(exports.root(COMMIT))
    with caplog.at_level(logging.WARNING):
        assert made_anew(exports)
    assert [vars(record)["runs"] for record in caplog.records] == [["one", "two"]]


def test_a_replaced_export_stays_until_the_run_that_executes_it_has_ended(tmp_path: Path) -> None:
    exports = written(tmp_path)
    root = exports.root(COMMIT)
    held = os.open(root.parent / "lock", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    inside = os.open(root / "flows", os.O_RDONLY)
    change_mode(root)
    exports = Exports(tmp_path / "exports")
    assert made_anew(exports)
    exports.collect(lambda: [COMMIT])
    exports.collect(lambda: [])
    assert sorted(os.listdir(inside)) == ["a.py", "deep"]  # noqa: PTH208
    os.close(inside)
    os.close(held)
    exports.collect(lambda: [COMMIT])
    assert list((tmp_path / "exports").iterdir()) == []


def test_an_export_by_an_older_version_is_replaced_and_stays_while_its_commit_is_needed(tmp_path: Path) -> None:
    exports = written(tmp_path)
    folder = tmp_path / "exports" / COMMIT
    (folder / "complete").unlink()
    (folder / "lock").unlink()
    assert made_anew(exports)
    exports.collect(lambda: [COMMIT])
    names = {path.name.partition("-")[0] for path in (tmp_path / "exports").iterdir()}
    assert names == {COMMIT, ".replaced"}
    exports.collect(lambda: [])
    assert list((tmp_path / "exports").iterdir()) == []


def test_has_checkout_is_true_only_after_the_export_was_compared(tmp_path: Path, repository: GitRepository) -> None:
    repository.commit({"a.py": "1"})
    first, second = (GitSource(repository.path, ref=None, path="", exports=tmp_path / "exports") for _ in range(2))
    revision = first.observe()
    (first.checkout(revision) / "a.py").chmod(0o644)
    assert not second.has_checkout(revision)
    assert mode(second.checkout(revision) / "a.py") == 0o444
    assert second.has_checkout(revision)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
