"""The mirror is a cache: it is repaired when it is damaged, and nothing in it is executed."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from controller.errors import AuthenticationError, SourceError
from tests.conftest import GitRepository, new_repository
from tests.leftovers import children, open_files
from tests.unit.sources.remote.conftest import Follow, contents


def replaced_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("", encoding="utf-8")


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": shutil.rmtree,
    "no HEAD": lambda mirror: (mirror / "HEAD").unlink(),
    "no config": lambda mirror: (mirror / "config").unlink(),
    "no objects": lambda mirror: shutil.rmtree(mirror / "objects" / "pack"),
    "a cut pack": lambda mirror: cut(next(mirror.rglob("*.pack"))),
    "a cut index": lambda mirror: cut(next(mirror.rglob("*.idx"))),
    "a locked ref": lambda mirror: (mirror / "refs" / "controller" / "followed.lock").touch(),
    "a locked mirror": lambda mirror: (mirror / "shallow.lock").touch(),
    "locked refs": lambda mirror: (mirror / "packed-refs.lock").touch(),
    "a bad ref": lambda mirror: (mirror / "refs" / "controller" / "followed").write_text("nonsense", encoding="utf-8"),
    "an odd config": lambda mirror: (mirror / "config").write_text("[nonsense", encoding="utf-8"),
    "a config from the future": lambda mirror: (mirror / "config").write_text(
        "[core]\nrepositoryformatversion = 99\nbare = true\n", encoding="utf-8"
    ),
    "a file": lambda mirror: replaced_by_a_file(mirror),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("is_new", [True, False], ids=["restarted", "running"])
def test_a_damaged_mirror_is_fetched_again(
    repository: GitRepository, follow: Follow, damage: str, is_new: bool
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.observe()
    DAMAGE[damage](source.mirror)
    source = follow() if is_new else source
    repository.commit({"deployments/a.yaml": "2"})
    for _ in range(3):
        with suppress(SourceError):
            contents(source)
    assert contents(source) == [b"2"]


def test_a_lost_commit_does_not_cause_a_full_fetch(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    source.observe()
    identity = source.mirror.stat().st_ino
    for number in range(2):
        with pytest.raises(SourceError):
            source.checkout("sha1:" + "0" * 40)
        repository.commit({"deployments/a.yaml": f"again {number}"})
        source.observe()
    assert source.mirror.stat().st_ino == identity


def test_an_error_of_the_server_does_not_discard_the_mirror(repository: GitRepository, follow: Follow) -> None:
    """A commit that git's checks reject is not fetched repeatedly, and the previous commit stays readable."""
    first = repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    before = source.observe()
    raw = f"tree {repository.git('rev-parse', 'HEAD^{tree}')}\nparent {first}\nauthor nobody\ncommitter nobody\n\nbad\n"
    bad = repository.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=raw.encode())
    (repository.path / ".git" / "refs" / "heads" / "main").write_text(f"{bad}\n", encoding="utf-8")
    with pytest.raises(SourceError):
        source.observe()
    identity = source.mirror.stat().st_ino
    processes = source.work.processes
    for _ in range(3):
        with pytest.raises(SourceError):
            source.observe()
    assert source.mirror.stat().st_ino == identity
    assert source.work.processes - processes <= 4 * 3
    assert source.read(before).files[0].content == b"1"
    repository.git("update-ref", "refs/heads/main", first)
    assert source.observe() == before


def test_a_repository_of_another_user_behind_a_file_url_is_explained(repository: GitRepository, follow: Follow) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository away")
    repository.commit({"deployments/a.yaml": "1"})
    for place in (repository.path, *repository.path.rglob("*")):
        os.chown(place, 12345, 12345, follow_symlinks=False)
    with pytest.raises(AuthenticationError) as refused:
        follow().observe()
    assert refused.value.hint == "The repository belongs to another user. Use its path, without file://."


def test_no_configuration_of_either_side_is_executed(
    tmp_path: Path, repository: GitRepository, follow: Follow, ssh_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"deployments/a.yaml": "1", ".gitattributes": "* filter=evil\n"})
    canary = tmp_path / "canary"
    touch = f"touch {canary}"
    config = f"""
[core]
    sshCommand = "{touch}"
    fsmonitor = "{touch}"
    hooksPath = {tmp_path}/hooks
    alternateRefsCommand = "{touch}"
    gitProxy = "{touch}"
    askPass = "{tmp_path}/hooks/post-checkout"
[alias]
    fetch = "!{touch}"
    ls-remote = "!{touch}"
[url "ext::{touch} "]
    insteadOf = ssh://
    insteadOf = file://
[protocol]
    allow = always
[uploadpack]
    packObjectsHook = "{touch}; true"
[credential]
    helper = "!{touch}"
[filter "evil"]
    smudge = "{touch}"
[init]
    templateDir = {tmp_path}/template
"""
    for place in (tmp_path / "hooks", tmp_path / "template" / "hooks"):
        place.mkdir(parents=True)
        for name in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-receive"):
            (place / name).write_text(f"#!/bin/sh\n{touch}\n", encoding="utf-8")
            (place / name).chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(config, encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    with (repository.path / ".git" / "config").open("a", encoding="utf-8") as own:
        own.write(config)
    for address in (f"file://{repository.path}", f"ssh://git@localhost{repository.path}"):
        source = follow(address)
        revision = source.observe()
        assert contents(source) == [b"1"]
        source.checkout(revision)
        shutil.rmtree(source.mirror)
    assert ssh_log.exists()
    assert not canary.exists()


def test_options_that_a_server_advertises_as_names_are_not_executed(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    canary = tmp_path / "canary"
    name = f"refs/heads/--upload-pack=touch${{IFS}}{canary}"
    repository.git("update-ref", name, commit)
    (repository.path / ".git" / "HEAD").write_text(f"ref: {name}\n", encoding="utf-8")
    source = follow()
    assert source.observe().endswith(f"sha1:{commit}")
    assert contents(source) == [b"1"]
    assert not canary.exists()


def test_submodules_are_not_fetched(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    other = new_repository(tmp_path / "other")
    other.commit({"x": "1"})
    repository.commit({"deployments/a.yaml": "1"})
    subprocess.run(
        ["git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "module"],
        cwd=repository.path,
        check=True,
        capture_output=True,
    )
    repository.commit()
    source = follow()
    root = source.checkout(source.observe())
    assert not (root / "module").exists()
    assert not (source.mirror / "modules").exists()


def test_many_passes_leak_nothing(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "0"})
    source = follow()
    files, processes, threads, after_ten = open_files(), children(), threading.active_count(), 0
    for number in range(120):
        if number % 2 == 0:
            repository.commit({"deployments/a.yaml": str(number), "flows/a.py": str(number)})
        revision = source.observe()
        source.read(revision)
        code = source.code(revision)
        assert code.read("flows/a.py") == str(number - number % 2).encode()
        if number == 10:
            after_ten = len(open_files() - files)
    assert len(open_files() - files) <= after_ten
    assert children() <= processes
    # There were sixty fetches, and the packs were combined.
    assert len(list((source.mirror / "objects" / "pack").glob("*.pack"))) <= 51
    assert threading.active_count() < threads + 5
