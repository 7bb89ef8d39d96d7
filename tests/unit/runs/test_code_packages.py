"""Packages of code: the same content gives the same digest, and a node can unpack it."""

import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.runs.executors.node.code_packages import unpack
from controller.runs.executors.remote.packages import KEPT, CodePackages


@pytest.fixture
def packages(tmp_path: Path) -> CodePackages:
    return CodePackages(tmp_path / "packages")


def tree(directory: Path) -> Path:
    (directory / "flows").mkdir(parents=True)
    (directory / "flows" / "a.py").write_text("print(1)\n", encoding="utf-8")
    (directory / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (directory / "run.sh").chmod(0o755)
    (directory / "link").symlink_to("flows/a.py")
    (directory / "folder").symlink_to("flows")
    (directory / "empty").mkdir()
    (directory / "ü").write_bytes(b"")
    return directory


def found(packages: CodePackages, digest: str) -> Path:
    path = packages.find(digest)
    assert path is not None
    return path


def test_a_package_is_named_by_its_content(packages: CodePackages, tmp_path: Path) -> None:
    digest = packages.pack_code(tree(tmp_path / "a"))
    assert hashlib.sha256(found(packages, digest).read_bytes()).hexdigest() == digest


def test_the_same_files_give_the_same_package(packages: CodePackages, tmp_path: Path) -> None:
    first = packages.pack_code(tree(tmp_path / "a"))
    other = tree(tmp_path / "b")
    os.utime(other / "run.sh", (1, 1))
    (other / "run.sh").chmod(0o500)
    (other / "flows" / "a.py").chmod(0o400)
    assert packages.pack_code(other) == first
    (other / "flows" / "a.py").chmod(0o700)
    assert packages.pack_code(other, is_pinned=False) != first


def test_a_node_unpacks_what_was_packed(packages: CodePackages, tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    unpack(str(found(packages, packages.pack_code(source))), str(tmp_path / "node"))
    node = tmp_path / "node"
    for name in ("flows/a.py", "run.sh", "ü"):
        assert (node / name).read_bytes() == (source / name).read_bytes()
    assert (node / "link").readlink() == Path("flows/a.py")
    assert (node / "folder").readlink() == Path("flows")
    assert (node / "empty").is_dir()
    assert stat.S_IMODE((node / "run.sh").stat().st_mode) & 0o111
    assert not stat.S_IMODE((node / "flows" / "a.py").stat().st_mode) & 0o111


def test_code_that_never_changes_is_packed_once(packages: CodePackages, tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    first = packages.pack_code(source)
    (source / "new").touch()
    assert packages.pack_code(source) == first
    assert packages.pack_code(source, is_pinned=False) != first


def test_a_package_that_was_removed_is_made_again(packages: CodePackages, tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    digest = packages.pack_code(source)
    found(packages, digest).unlink()
    assert packages.find(digest) is None
    assert packages.pack_code(source) == digest
    assert packages.find(digest) is not None


def test_a_name_that_is_not_utf8_is_refused(packages: CodePackages, tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    (source / "\udcff").touch()
    with pytest.raises(SourceError, match="not UTF-8"):
        packages.pack_code(source)
    assert list((tmp_path / "packages").iterdir()) == []


def test_unused_packages_are_removed_oldest_first(packages: CodePackages, tmp_path: Path) -> None:
    digests = []
    for number in range(KEPT + 4):
        source = tmp_path / f"tree-{number}"
        source.mkdir()
        (source / "number").write_text(str(number), encoding="utf-8")
        digests.append(packages.pack_code(source))
        os.utime(found(packages, digests[-1]), (number, number))
    runner = packages.pack_runner()
    os.utime(found(packages, runner), (0, 0))
    packages.remove_unused({digests[0]})
    kept = [packages.find(digest) is not None for digest in digests]
    assert kept == [True] + [False] * 3 + [True] * KEPT
    assert packages.find(runner) is not None


def test_use_keeps_a_package(packages: CodePackages, tmp_path: Path) -> None:
    source = tree(tmp_path / "a")
    digest = packages.pack_code(source)
    os.utime(found(packages, digest), (0, 0))
    packages.pack_code(source)
    assert found(packages, digest).stat().st_mtime > 0


def test_the_runner_has_only_what_nodes_need(packages: CodePackages) -> None:
    digest = packages.pack_runner()
    assert packages.pack_runner() == digest
    with zipfile.ZipFile(found(packages, digest)) as package:
        names = package.namelist()
    assert "controller/runs/executors/node/runner.py" in names
    assert not [name for name in names if name.startswith(("controller/store", "controller/api", "controller/cli"))]
