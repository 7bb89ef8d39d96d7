"""A repository behind a URL is followed like a local one; what a server can do wrong has a name, and is got over."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.errors import (
    AuthenticationError,
    EmptyRepositoryError,
    PathNotFoundError,
    RefNotFoundError,
    RepositoryNotFoundError,
    SourceError,
    SourceTimeoutError,
    StoppingError,
    UnreachableError,
)
from controller.remotes import Access, parse_url
from controller.sources.git import RemoteSource
from controller.sources.git.transport import Patience
from tests.conftest import GitRepository, new_repository
from tests.servers import CERTIFICATE, HttpServer, http_server, install_ssh

Follow = Callable[..., RemoteSource]
IMPATIENT = Patience(ask=timedelta(seconds=1), fetch=timedelta(seconds=1))
PASSWORD = "correct-horse-battery"


@pytest.fixture
def server(tmp_path: Path, repository: GitRepository) -> Iterator[HttpServer]:
    """Serves the repository at `/repo/.git`."""
    assert repository.path.is_relative_to(tmp_path)
    with http_server(tmp_path) as found:
        yield found


@pytest.fixture
def ssh_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the arguments of the `ssh` in front of the PATH are noted."""
    log = tmp_path / "ssh.log"
    install_ssh(tmp_path / "bin", log)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    return log


@pytest.fixture
def follow(tmp_path: Path, repository: GitRepository) -> Follow:
    """`follow(url)` makes a source of the repository, by default through `file://`."""

    def make(
        url: str | None = None,
        *,
        ref: str | None = None,
        access: Access | None = None,
        patience: Patience | None = None,
    ) -> RemoteSource:
        return RemoteSource(
            parse_url(url or f"file://{repository.path}"),
            ref=ref,
            path="deployments",
            mirror=tmp_path / "state" / "mirror",
            exports=tmp_path / "state" / "exports",
            access=access,
            patience=patience,
        )

    return make


@pytest.fixture(params=["file", "http", "ssh", "scp"])
def url(request: pytest.FixtureRequest, repository: GitRepository, server: HttpServer, ssh_log: Path) -> str:
    assert ssh_log.parent.is_dir()
    return {
        "file": f"file://{repository.path}",
        "http": f"{server.url}/repo/.git",
        "ssh": f"ssh://git@localhost{repository.path}",
        "scp": f"git@localhost:{repository.path}",
    }[request.param]


def contents(source: RemoteSource) -> list[bytes]:
    return [file.content for file in source.read(source.observe()).files]


def test_a_remote_repository_is_followed_by_every_transport(
    repository: GitRepository, follow: Follow, url: str
) -> None:
    first = repository.commit({"deployments/a.yaml": "1", "flows/a.py": "pass"})
    repository.git("tag", "--annotate", "--message", "one", "v1")
    source = follow(url)
    revision = source.observe()
    assert revision == f"main@sha1:{first}"
    assert contents(source) == [b"1"]
    assert source.code(revision).read("flows/a.py") == b"pass"
    assert source.read_file(revision, "flows/a.py") == b"pass"
    assert (source.checkout(revision) / "flows" / "a.py").read_text(encoding="utf-8") == "pass"
    second = repository.commit({"deployments/a.yaml": "2"})
    assert source.observe() == f"main@sha1:{second}"
    assert contents(source) == [b"2"]
    assert source.is_descendant(f"sha1:{second}", revision) is True
    assert follow(url, ref="v1").observe() == f"v1@sha1:{first}"
    assert follow(url, ref=first).observe() == f"sha1:{first}"
    assert contents(follow(url, ref=first)) == [b"1"]
    assert source.watched() == ()


def test_ssh_is_asked_to_be_strict_and_gets_no_option_from_us(
    repository: GitRepository, follow: Follow, ssh_log: Path
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    follow(f"ssh://git@localhost:2222{repository.path}").observe()
    said = ssh_log.read_text(encoding="utf-8").splitlines()
    assert {"-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oPermitLocalCommand=no", "git@localhost"} <= set(said)
    assert said[-1] == f"git-upload-pack '{repository.path}'"


def test_when_nothing_is_new_one_ref_is_asked_for_and_nothing_is_fetched(
    repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow(f"{server.url}/repo/.git")
    revision = source.observe()
    server.requests.clear()
    processes = source.work.processes
    assert [source.observe() for _ in range(3)] == [revision] * 3
    assert source.work.processes - processes == 3
    assert len(server.requests) == 6
    assert not any("fetch" in request for request in server.requests)
    # A new controller has the mirror of the old one.
    again = follow(f"{server.url}/repo/.git")
    server.requests.clear()
    assert again.observe() == revision
    assert len(server.requests) == 2


def test_a_commit_that_is_here_is_not_asked_for_again(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    source = follow(ref=commit)
    revision = source.observe()
    shutil.rmtree(repository.path)
    assert source.observe() == revision
    assert contents(source) == [b"1"]


def test_rewritten_history_is_followed_and_can_be_told(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    before = source.observe()
    repository.write("deployments/a.yaml", "2")
    repository.git("commit", "--quiet", "--all", "--amend", "--message", "rewritten")
    after = source.observe()
    assert contents(source) == [b"2"]
    assert source.is_descendant(after, before) is False
    assert source.read_file(before, "deployments/a.yaml") == b"1"


def test_a_moved_tag_is_followed(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    repository.git("tag", "--annotate", "--message", "one", "live")
    source = follow(ref="live")
    source.observe()
    second = repository.commit({"deployments/a.yaml": "2"})
    repository.git("tag", "--force", "--annotate", "--message", "two", "live")
    assert source.observe() == f"live@sha1:{second}"


def test_another_head_on_the_server_is_followed(repository: GitRepository, follow: Follow) -> None:
    first = repository.commit({"deployments/a.yaml": "1"})
    source = follow()
    assert source.observe() == f"main@sha1:{first}"
    repository.git("checkout", "--quiet", "-b", "release/next")
    second = repository.commit({"deployments/a.yaml": "2"})
    assert source.observe() == f"release/next@sha1:{second}"
    repository.git("checkout", "--quiet", "--detach", first)
    assert source.observe() == f"sha1:{first}"


def test_a_repository_with_sha256_is_followed(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "modern").mkdir()
    modern = GitRepository(tmp_path / "modern")
    modern.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    commit = modern.commit({"deployments/a.yaml": "1"})
    source = follow(f"file://{modern.path}")
    assert source.observe() == f"main@sha256:{commit}"
    assert contents(source) == [b"1"]


def test_what_can_not_be_followed_has_a_reason_and_is_got_over(
    repository: GitRepository, follow: Follow, url: str
) -> None:
    source = follow(url)
    with pytest.raises(EmptyRepositoryError, match="no commit yet"):
        source.observe()
    repository.commit({"other": "1"})
    with pytest.raises(PathNotFoundError):
        source.read(source.observe())
    repository.commit({"deployments/a.yaml": "1"})
    assert contents(source) == [b"1"]
    branch = follow(url, ref="release")
    with pytest.raises(RefNotFoundError, match="no branch or tag release"):
        branch.observe()
    repository.git("branch", "release")
    assert branch.observe().startswith("release@sha1:")
    repository.git("branch", "--delete", "--force", "release")
    with pytest.raises(RefNotFoundError):
        branch.observe()
    away = repository.path.with_name("away")
    repository.path.rename(away)
    with pytest.raises(RepositoryNotFoundError):
        source.observe()
    away.rename(repository.path)
    assert contents(source) == [b"1"]


def test_a_head_that_names_nothing_and_a_short_commit_are_explained(repository: GitRepository, follow: Follow) -> None:
    commit = repository.commit({"deployments/a.yaml": "1"})
    repository.git("symbolic-ref", "HEAD", "refs/heads/nowhere")
    with pytest.raises(RefNotFoundError, match="names a branch that is not there"):
        follow().observe()
    with pytest.raises(RefNotFoundError) as short:
        follow(ref=commit[:10]).observe()
    assert short.value.hint is not None
    assert "whole id" in short.value.hint
    with pytest.raises(RefNotFoundError):
        follow(ref="0" * 40).observe()
    blob = repository.git("rev-parse", "main:deployments/a.yaml")
    repository.git("tag", "blob", blob)
    with pytest.raises(RefNotFoundError, match="leads to no commit"):
        follow(ref="blob").observe()


def test_a_server_that_is_not_there_is_unreachable_until_it_is(
    tmp_path: Path, repository: GitRepository, follow: Follow
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path) as server:
        source = follow(f"{server.url}/repo/.git")
        assert contents(source) == [b"1"]
        server.behaviour.status = 503
        with pytest.raises(UnreachableError):
            source.observe()
        server.behaviour.status = None
        assert contents(source) == [b"1"]
    messages = set()
    for _ in range(3):
        with pytest.raises(UnreachableError) as refused:
            source.observe()
        messages.add(refused.value.message)
    assert len(messages) == 1
    # What was fetched can be read meanwhile.
    commit = repository.head()
    assert source.read(f"main@sha1:{commit}").files[0].content == b"1"


def test_credentials_are_asked_for_given_and_never_shown(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("git")
    seen = tmp_path / "arguments"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s " "$0" "$@" >> {seen}\nexec {real} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.defpath}")
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.credentials = ("ada", PASSWORD)
    address = f"{server.url}/repo/.git"
    with pytest.raises(AuthenticationError):
        follow(address).observe()
    with pytest.raises(AuthenticationError) as wrong:
        follow(address, access=Access(username="ada", password="wrong-and-secret")).observe()
    assert "wrong-and-secret" not in f"{wrong.value.message} {wrong.value.hint}"
    source = follow(address, access=Access(username="ada", password=PASSWORD))
    assert contents(source) == [b"1"]
    server.behaviour.status = 403
    with pytest.raises(AuthenticationError):
        source.observe()
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in (*kept, seen) if PASSWORD.encode() in path.read_bytes()]
    assert "ls-remote" in seen.read_text(encoding="utf-8")
    assert PASSWORD not in repr(Access(password=PASSWORD))


def test_a_password_file_may_be_replaced_at_any_time(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.credentials = ("ada", PASSWORD)
    file = tmp_path / "password"
    source = follow(f"{server.url}/repo/.git", access=Access(username="ada", password_file=file))
    with pytest.raises(AuthenticationError, match="can't be read"):
        source.observe()
    file.write_text("old\n", encoding="utf-8")
    with pytest.raises(AuthenticationError):
        source.observe()
    file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    assert contents(source) == [b"1"]
    file.write_text("two\nlines\n", encoding="utf-8")
    with pytest.raises(AuthenticationError, match="one line"):
        source.observe()


def test_a_redirect_is_followed_but_credentials_do_not_go_with_it(
    tmp_path: Path, repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path) as other:
        server.behaviour.redirect_to = other.url
        assert contents(follow(f"{server.url}/repo/.git")) == [b"1"]
        other.behaviour.credentials = ("ada", PASSWORD)
        with pytest.raises(AuthenticationError):
            follow(f"{server.url}/repo/.git", access=Access(username="ada", password=PASSWORD)).observe()
        assert other.authorizations == []


def test_a_server_over_https_must_prove_who_it_is(tmp_path: Path, repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    with http_server(tmp_path, certificate=CERTIFICATE) as server:
        server.behaviour.credentials = ("ada", PASSWORD)
        access = Access(username="ada", password=PASSWORD)
        with pytest.raises(AuthenticationError):
            follow(f"{server.url}/repo/.git", access=access).observe()
        assert server.requests == []
        trusting = replace(access, ca_file=CERTIFICATE)
        assert contents(follow(f"{server.url}/repo/.git", access=trusting)) == [b"1"]
        server.behaviour.redirect_to = server.url.replace("https", "http")
        with pytest.raises(UnreachableError):
            follow(f"{server.url}/repo/.git", access=trusting).observe()


def children() -> set[str]:
    return {task for path in Path("/proc/self/task").glob("*/children") for task in path.read_text().split()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("where", ["refs", "pack"])
def test_a_server_that_stalls_is_given_up_and_tried_again(
    repository: GitRepository, follow: Follow, server: HttpServer, where: str
) -> None:
    repository.commit({"deployments/a.yaml": "1", "big": os.urandom(200_000).hex()})
    server.behaviour.stall_at_refs = where == "refs"
    server.behaviour.stall_in_pack = where == "pack"
    source = follow(f"{server.url}/repo/.git", patience=IMPATIENT)
    before = children()
    with pytest.raises(SourceTimeoutError):
        source.observe()
    assert server.stalled.is_set()
    assert children() == before
    server.behaviour.stall_at_refs = server.behaviour.stall_in_pack = False
    patient = follow(f"{server.url}/repo/.git")
    assert contents(patient) == [b"1"]
    assert not list((patient.mirror / "objects" / "pack").glob("tmp_*"))


def test_whoever_waits_for_a_server_can_be_interrupted(
    repository: GitRepository, follow: Follow, server: HttpServer
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    server.behaviour.stall_at_refs = True
    source = follow(f"{server.url}/repo/.git")
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            source.observe()
        except StoppingError as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert server.stalled.wait(20)
    source.interrupt()
    thread.join(20)
    assert len(ended) == 1
    with pytest.raises(StoppingError):
        source.observe()


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


def replaced_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("", encoding="utf-8")


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("is_new", [True, False], ids=["restarted", "running"])
def test_a_damaged_mirror_is_made_anew(repository: GitRepository, follow: Follow, damage: str, is_new: bool) -> None:
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


def test_a_commit_that_is_lost_is_no_reason_to_fetch_everything_again(
    repository: GitRepository, follow: Follow
) -> None:
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


def test_what_is_wrong_on_the_server_does_not_cost_the_mirror(repository: GitRepository, follow: Follow) -> None:
    """A commit that git's checks refuse is not fetched over and over, and what was there stays readable."""
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
    assert refused.value.hint == "The repository belongs to another user. Follow it by its path, without file://."


def test_nothing_that_is_configured_on_either_side_is_executed(
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


def test_a_server_that_advertises_options_as_names_gets_nothing_executed(
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


def test_after_three_hundred_passes_everything_was_given_back(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "0"})
    source = follow()
    after_ten, before = 0, children()
    for number in range(300):
        if number % 5 == 0:
            repository.commit({"deployments/a.yaml": str(number), "flows/a.py": str(number)})
        revision = source.observe()
        source.read(revision)
        code = source.code(revision)
        assert code.read("flows/a.py") == str(number - number % 5).encode()
        if number == 10:
            after_ten = descriptors()
    assert (descriptors(), children()) == (after_ten, before)
    # Sixty fetches, and yet not sixty packs.
    assert len(list((source.mirror / "objects" / "pack").glob("*.pack"))) <= 51
    assert threading.active_count() < 10
