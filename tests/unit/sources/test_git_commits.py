"""A source lists its commits with their authors, subjects and the manifests that each of them changed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.model.commits import ListedCommit
from tests.conftest import GitRepository
from tests.unit.sources.conftest import Follow

DATE = "1700000000 +0100"


def commit_object(repository: GitRepository, *, author: bytes = b"Ada", date: str = DATE, message: bytes = b"x") -> str:
    """Return the id of a commit with exactly these bytes, which becomes the head."""
    tree = repository.git("write-tree")
    content = b"tree %b\nauthor %b <a@localhost> %b\ncommitter C <c@localhost> %b\n\n%b" % (
        tree.encode(),
        author,
        date.encode(),
        DATE.encode(),
        message,
    )
    commit = repository.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=content)
    repository.git("update-ref", "HEAD", commit)
    return commit


def listed(follow: Follow, since: str | None = None, limit: int = 100, path: str = "deployments") -> list[ListedCommit]:
    source = follow(path=path)
    return source.commits(source.observe(), None if since is None else f"sha1:{since}", limit)


def files(commits: list[ListedCommit]) -> list[tuple[str, list[str]]]:
    return [(commit.subject, sorted(commit.files)) for commit in commits]


def test_commits_are_listed_newest_first_with_the_manifests_that_they_changed(
    repository: GitRepository, follow: Follow
) -> None:
    first = repository.commit({"deployments/a.yaml": "1", "flows/a.py": "1"}, message="one")
    repository.commit({"flows/a.py": "2"}, message="two\n\nwith a body")
    repository.git("mv", "deployments/a.yaml", "deployments/b.yaml")
    repository.commit({"controller.yaml": "queues: {}"}, message="three")
    assert files(listed(follow)) == [
        ("three", ["controller.yaml", "deployments/a.yaml", "deployments/b.yaml"]),
        ("two", []),
        ("one", ["deployments/a.yaml"]),
    ]
    assert files(listed(follow, limit=1))[0][0] == "three"
    assert [commit.subject for commit in listed(follow, since=first)] == ["three", "two"]
    assert listed(follow, since=repository.head()) == []
    assert {commit.author for commit in listed(follow)} == {"Ada"}


def test_with_the_whole_repository_as_path_only_possible_manifests_are_listed(
    repository: GitRepository, follow: Follow
) -> None:
    repository.commit({"x/a.YAML": "1", "b.json": "1", "c.py": "1", "README": "1"}, message="one")
    assert files(listed(follow, path="")) == [("one", ["b.json", "c.py", "x/a.YAML"])]


def test_a_merge_lists_only_what_it_changed_itself(repository: GitRepository, follow: Follow) -> None:
    repository.commit({"deployments/a.yaml": "1"}, message="one")
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"deployments/b.yaml": "1"}, message="side")
    repository.git("checkout", "--quiet", "main")
    repository.commit({"deployments/c.yaml": "1"}, message="two")
    repository.git("merge", "--quiet", "--no-commit", "side")
    repository.commit({"deployments/a.yaml": "2"}, message="merged")
    assert dict(files(listed(follow))) == {
        "merged": ["deployments/a.yaml"],
        "two": ["deployments/c.yaml"],
        "side": ["deployments/b.yaml"],
        "one": ["deployments/a.yaml"],
    }


def test_an_earlier_commit_that_git_has_lost_is_ignored(repository: GitRepository, follow: Follow) -> None:
    repository.commit(message="one")
    assert len(listed(follow, since="a" * 40)) == 1


@pytest.mark.parametrize(
    ("author", "subject"),
    [
        (b"\x1b[31mred\x1b[0m", b"\xff\xfe broken"),
        (b"\xe2\x80\xaeevil", b"tab\there\x07"),
        (b"A" * 100_000, b"S" * 100_000),
        (b"", b""),
        (b"\x01" * 5000, "ä".encode() * 50_000),
    ],
)
def test_hostile_names_and_subjects_are_printable_and_short(
    repository: GitRepository, follow: Follow, author: bytes, subject: bytes
) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    commit = commit_object(repository, author=author, message=subject)
    [listed_commit] = listed(follow, limit=1)
    assert listed_commit.sha == commit
    assert listed_commit.author.isprintable()
    assert listed_commit.subject.isprintable()
    assert len(listed_commit.author) <= 100
    assert len(listed_commit.subject) <= 300


@pytest.mark.parametrize("date", ["99999999999999999999 +0000", "-5 +0000", "never", "1700000000 +9999"])
def test_an_impossible_date_does_not_hide_the_commit(repository: GitRepository, follow: Follow, date: str) -> None:
    repository.commit({"deployments/a.yaml": "1"})
    commit = commit_object(repository, date=date)
    [listed_commit] = listed(follow, limit=1)
    assert listed_commit.sha == commit
    assert datetime(1900, 1, 1, tzinfo=UTC) < listed_commit.author_date < datetime(2100, 1, 1, tzinfo=UTC)


def test_the_configuration_of_the_repository_starts_no_program(
    repository: GitRepository, follow: Follow, tmp_path: Path
) -> None:
    """`log.showSignature` would run `gpg.program` for a signed commit."""
    program = repository.write("gpg", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    repository.commit({"deployments/a.yaml": "1"})
    raw = repository.git("cat-file", "commit", "HEAD").encode()
    head, _, message = raw.partition(b"\n\n")
    signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
    signed = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=head + signature + message)
    repository.git("update-ref", "HEAD", signed)
    repository.git("config", "gpg.program", str(program))
    repository.git("config", "log.showSignature", "true")
    source = follow()
    assert [commit.sha for commit in source.commits(source.observe(), None, 1)] == [signed]
    assert source.committed_at(source.observe()) is not None
    assert not (tmp_path / "ran").exists()
    repository.git("show", "HEAD")
    assert (tmp_path / "ran").exists()
