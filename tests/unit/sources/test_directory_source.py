"""A source follows a plain directory as it is on disk; special files neither block it nor lead outside."""

import os
import shutil
import subprocess
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.sources.directory.source import DirectorySource
from tests.conftest import ManualClock, wait_until
from tests.leftovers import open_files


def write(top: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(content, encoding="utf-8")


def source_of(top: Path, path: str = "deployments") -> DirectorySource:
    return DirectorySource(top, path=path)


def refusals(source: DirectorySource) -> dict[str, str]:
    return {refusal.path: refusal.message for refusal in source.read(source.observe()).refused}


def paths(source: DirectorySource) -> list[str]:
    return [file.path for file in source.read(source.observe()).files]


def test_manifests_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/b.yaml": "2", "deployments/a/z.json": "1", "deployments/c.yml": "3", "x.yaml": "no"})
    source = source_of(tmp_path)
    snapshot = source.read(source.observe())
    assert [(file.path, file.content) for file in snapshot.files] == [
        ("deployments/a/z.json", b"1"),
        ("deployments/b.yaml", b"2"),
        ("deployments/c.yml", b"3"),
    ]


def test_dot_files_and_other_endings_are_not_manifests(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "deployments/.hidden.yaml": "1",
            "deployments/.git/x.yaml": "1",
            "deployments/readme.md": "1",
            "deployments/a.yaml~": "1",
            "deployments/a.YAMLX": "1",
        },
    )
    source = source_of(tmp_path)
    snapshot = source.read(source.observe())
    assert (snapshot.files, snapshot.refused) == ((), ())


def test_the_path_can_be_the_whole_directory_or_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": "1", "d/b.yaml": "2"})
    assert paths(source_of(tmp_path, "")) == ["a.yaml", "d/b.yaml"]
    assert paths(source_of(tmp_path, "d/b.yaml")) == ["d/b.yaml"]


def test_the_revision_is_the_digest_of_names_and_contents(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1"})
    source = source_of(tmp_path)
    first = source.observe()
    assert first.startswith("dir@sha256:")
    assert source_of(tmp_path).observe() == first
    os.utime(tmp_path / "deployments" / "a.yaml", (1, 1))
    assert source.observe() == first
    write(tmp_path, {"deployments/a.yaml": "22"})
    second = source.observe()
    (tmp_path / "deployments" / "a.yaml").rename(tmp_path / "deployments" / "b.yaml")
    assert len({first, second, source.observe()}) == 3


def test_an_outdated_revision_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1"})
    source = source_of(tmp_path)
    first = source.observe()
    write(tmp_path, {"deployments/a.yaml": "22"})
    source.observe()
    with pytest.raises(SourceError, match="has changed"):
        source.read(first)


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1", "deployments/b.yaml": "1"})
    source = source_of(tmp_path)
    before = source.read(source.observe()).files
    write(tmp_path, {"deployments/b.yaml": "22"})
    after = source.read(source.observe()).files
    assert after[0] is before[0]
    assert after[1].content == b"22"


def test_a_missing_directory_is_an_error_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="There is no directory"):
        source_of(tmp_path).observe()
    (tmp_path / "deployments").mkdir()
    assert paths(source_of(tmp_path)) == []


def test_pipes_and_devices_are_refused_without_waiting_for_them(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/good.yaml": "1"})
    os.mkfifo(tmp_path / "deployments" / "pipe.yaml")
    (tmp_path / "deployments" / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "deployments" / "directory.yaml").mkdir()
    source = source_of(tmp_path)
    assert refusals(source) == {
        "deployments/pipe.yaml": "A manifest must be a regular file.",
        "deployments/zero.yaml": "The link leads outside the repository.",
    }
    assert paths(source) == ["deployments/good.yaml"]


def test_read_file_refuses_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    for path in ("pipe.py", "missing.py"):
        with pytest.raises(SourceError, match="can't be read"):
            source_of(tmp_path).read_file("dir@sha256:0", path)


def test_links_inside_are_read_and_links_to_the_outside_are_refused(tmp_path: Path) -> None:
    top = tmp_path / "repo"
    write(tmp_path, {"outside.yaml": "no", "repo/shared/a.yaml": "1", "repo/deployments/b.yaml": "2"})
    deployments = top / "deployments"
    (deployments / "inside.yaml").symlink_to("../shared/a.yaml")
    (deployments / "outside.yaml").symlink_to(tmp_path / "outside.yaml")
    (deployments / "dots.yaml").symlink_to("../../outside.yaml")
    (deployments / "passwd.yaml").symlink_to("/etc/passwd")
    (deployments / "dangling.yaml").symlink_to("nowhere")
    (deployments / "loop.yaml").symlink_to("loop.yaml")
    (deployments / "tree").symlink_to("..")
    source = source_of(top)
    assert paths(source) == ["deployments/b.yaml", "deployments/inside.yaml"]
    found = refusals(source)
    assert sorted(found) == [f"deployments/{name}.yaml" for name in ("dangling", "dots", "loop", "outside", "passwd")]
    assert {found[f"deployments/{name}.yaml"] for name in ("dots", "outside", "passwd")} == {
        "The link leads outside the repository."
    }


def test_a_deployments_path_to_the_outside_reveals_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"secret/a.yaml": "password", "repo/x": ""})
    (tmp_path / "repo" / "deployments").symlink_to(tmp_path / "secret")
    source = source_of(tmp_path / "repo")
    assert paths(source) == []
    assert refusals(source) == {"deployments/a.yaml": "The link leads outside the repository."}


def test_an_oversized_manifest_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/giant.yaml": "#" * ((1 << 20) + 1), "deployments/big.yaml": "#" * (1 << 20)})
    source = source_of(tmp_path)
    assert paths(source) == ["deployments/big.yaml"]
    assert refusals(source)["deployments/giant.yaml"].startswith("A manifest can have up to 1 MiB")


def test_a_name_that_is_not_utf8_is_refused_and_shown_escaped(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1"})
    name = os.fsencode(tmp_path / "deployments") + b"/b\xff.yaml"
    Path(os.fsdecode(name)).write_text("1", encoding="utf-8")
    source = source_of(tmp_path)
    assert list(refusals(source)) == ["deployments/b\\xff.yaml"]
    assert paths(source) == ["deployments/a.yaml"]


def test_the_depth_of_the_tree_is_limited(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/" + "d/" * 100 + "a.yaml": "1", "deployments/b.yaml": "2"})
    assert paths(source_of(tmp_path)) == ["deployments/b.yaml"]


def test_checkout_returns_the_directory_itself(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    source.collect(lambda: [])
    assert source.has_checkout("dir@sha256:0")
    assert source.checkout("dir@sha256:0") == tmp_path


def test_the_deployments_path_and_the_directory_above_are_watched(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    assert [(place.path, place.recursive) for place in source.watched_paths()] == [(tmp_path, False)]
    (tmp_path / "deployments").mkdir()
    assert [(place.path, place.recursive) for place in source.watched_paths()] == [
        (tmp_path / "deployments", True),
        (tmp_path, False),
    ]


def test_the_project_is_part_of_the_revision_but_not_a_manifest(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1", "deployments/controller.yaml": "2"})
    for path in ("deployments", ""):
        source = source_of(tmp_path, path)
        before = source.observe()
        assert source.read(before).project is None
        write(tmp_path, {"controller.yaml": "project: a"})
        after = source.observe()
        snapshot = source.read(after)
        assert after != before
        assert isinstance(snapshot.project, ManifestFile)
        assert snapshot.project.content == b"project: a"
        assert source.read_project(after) == snapshot.project
        assert [file.path for file in snapshot.files] == ["deployments/a.yaml", "deployments/controller.yaml"]
        assert tmp_path in {place.path for place in source.watched_paths()}
        (tmp_path / "controller.yaml").unlink()
        assert source.observe() == before


def test_a_project_that_is_a_broken_or_outside_link_is_refused_not_missing(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1"})
    for target in ("/etc/passwd", "nowhere"):
        (tmp_path / "controller.yaml").symlink_to(target)
        source = source_of(tmp_path)
        assert isinstance(source.read(source.observe()).project, RefusedFile)
        (tmp_path / "controller.yaml").unlink()


def test_the_project_file_can_be_the_deployments_path(tmp_path: Path) -> None:
    write(tmp_path, {"controller.yaml": "project: a"})
    source = source_of(tmp_path, "controller.yaml")
    snapshot = source.read(source.observe())
    assert (snapshot.files, isinstance(snapshot.project, ManifestFile)) == ((), True)


def content_of(source: DirectorySource) -> bytes:
    return source.read(source.observe()).files[0].content


def test_a_file_that_changes_while_it_is_read_keeps_its_last_good_content(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "#" * 400_000})
    file = tmp_path / "deployments" / "a.yaml"
    source = source_of(tmp_path)
    known = source.read(source.observe()).files[0]

    def was_kept() -> bool:
        nonlocal known
        before, size = known, file.stat().st_size
        known = source.read(source.observe()).files[0]
        return size > len(before.content) and known is before

    # The writer starts again before the file becomes too large for a manifest.
    grow = f"n=0; while [ $n -lt 200000 ]; do printf '#' >> '{file}'; n=$((n+1)); done"
    with subprocess.Popen(
        ["sh", "-c", f"while :; do head -c 400000 /dev/zero | tr '\\0' '#' > '{file}'; {grow}; done"]
    ) as writer:
        try:
            wait_until(was_kept)
        finally:
            writer.kill()
    wait_until(lambda: content_of(source) == file.read_bytes())


def test_quick_successive_writes_are_all_noticed(tmp_path: Path) -> None:
    """The versions have the same size and often the same times, as the kernel's clock ticks every few milliseconds."""
    write(tmp_path, {"deployments/a.yaml": "0", "a.py": "0"})
    source = source_of(tmp_path)
    source.code(source.observe()).find(["a.py"])
    for number in range(500):
        said = str(number % 10)
        write(tmp_path, {"deployments/a.yaml": said})
        assert content_of(source) == said.encode()
        before = source.observe()
        write(tmp_path, {"a.py": said + "\n"})
        write(tmp_path, {"a.py": said})
        assert (source.observe() != before) is (number > 0)


def test_a_file_that_has_not_changed_for_long_is_not_read_again(tmp_path: Path, clock: ManualClock) -> None:
    write(tmp_path, {f"deployments/{number}.yaml": "1" for number in range(20)})
    source = DirectorySource(tmp_path, path="deployments", clock=clock)
    clock.turn(datetime.now(UTC) - clock.now())  # noqa: TID251
    first = source.observe()
    clock.turn(timedelta(minutes=1))
    source.observe()
    before = source.reads
    assert {source.observe() for _ in range(3)} == {first}
    assert source.reads == before == 40


def test_a_file_replaced_by_a_rename_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1"})
    source = source_of(tmp_path)
    assert content_of(source) == b"1"
    for number in range(20):
        new = tmp_path / "deployments" / ".a.yaml.swp"
        new.write_text(str(number), encoding="utf-8")
        new.rename(tmp_path / "deployments" / "a.yaml")
        assert content_of(source) == str(number).encode()


def test_a_swapped_kubernetes_mount_is_followed(tmp_path: Path) -> None:
    """Kubernetes mounts are links to `..data`, itself a link that is replaced by a rename."""
    deployments = tmp_path / "deployments"
    write(tmp_path, {"deployments/..2026_1/a.yaml": "1", "deployments/..2026_2/a.yaml": "2"})
    (deployments / "..data").symlink_to("..2026_1")
    (deployments / "a.yaml").symlink_to("..data/a.yaml")
    source = source_of(tmp_path)
    assert content_of(source) == b"1"
    (deployments / "..new").symlink_to("..2026_2")
    (deployments / "..new").rename(deployments / "..data")
    assert paths(source) == ["deployments/a.yaml"]
    assert content_of(source) == b"2"


def test_a_file_may_become_a_directory_and_a_directory_a_file(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1", "deployments/b.yaml/c.yaml": "2"})
    source = source_of(tmp_path)
    assert paths(source) == ["deployments/a.yaml", "deployments/b.yaml/c.yaml"]
    (tmp_path / "deployments" / "a.yaml").unlink()
    shutil.rmtree(tmp_path / "deployments" / "b.yaml")
    write(tmp_path, {"deployments/a.yaml/x.yaml": "3", "deployments/b.yaml": "4"})
    assert paths(source) == ["deployments/a.yaml/x.yaml", "deployments/b.yaml"]


def test_a_link_swapped_during_a_read_does_not_lead_outside(tmp_path: Path) -> None:
    """A directory on the path is replaced by a link to the outside and back, as fast as possible."""
    write(tmp_path, {"secret/a.yaml": "secret", "repo/deployments/d/a.yaml": "good", "repo/deployments/b.yaml": "b"})
    place, aside = tmp_path / "repo" / "deployments" / "d", tmp_path / "repo" / "aside"
    source = source_of(tmp_path / "repo")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            place.rename(aside)
            place.symlink_to(tmp_path / "secret")
            place.unlink()
            aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = set()
        for _ in range(300):
            with suppress(SourceError):
                seen |= {file.content for file in source.read(source.observe()).files}
            found = source.code("").find(["deployments/d/a.yaml"])
            assert all(file.size == len("good") for file in found.values())
    finally:
        stop.set()
        thread.join()
    assert seen <= {b"good", b"b"}


def test_each_observation_releases_its_files(tmp_path: Path) -> None:
    write(tmp_path, {"deployments/a.yaml": "1", "flows/a.py": "1"})
    os.mkfifo(tmp_path / "deployments" / "pipe.yaml")
    (tmp_path / "deployments" / "out.yaml").symlink_to("/etc/passwd")
    source = source_of(tmp_path)
    source.code(source.observe()).find(["flows/a.py", "flows", "nowhere", "deployments/pipe.yaml"])
    before = open_files()
    for _ in range(20):
        source.read(source.observe())
    assert open_files() <= before


def test_a_scan_opens_a_folder_once_for_all_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"deployments/{folder}/{index}.yaml": "1" for folder in "ab" for index in range(5)})
    (tmp_path / "deployments/a/link.yaml").symlink_to("../b/0.yaml")
    opened: list[str] = []
    open_file = os.open

    def count(path: str, *arguments: int, **options: int) -> int:
        opened.append(str(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", count)
    assert len(paths(source_of(tmp_path))) == 11
    own = [path for path in opened if not path.startswith("/proc/")]
    through_the_link = [str(tmp_path), "deployments", "a", "link.yaml", "b", "0.yaml"]
    folders = [str(tmp_path), "deployments", "a", str(tmp_path), "deployments", "b"]
    assert len(own) <= 10 + len(folders) + len(through_the_link) + 1
    assert not {path for _, path in open_files() if path.startswith(str(tmp_path))}


def test_a_folder_below_a_link_is_read_where_links_are_followed(tmp_path: Path) -> None:
    write(tmp_path, {"real/a.yaml": "1", "real/b.yaml": "2"})
    (tmp_path / "deployments").symlink_to("real")
    assert paths(source_of(tmp_path)) == ["deployments/a.yaml", "deployments/b.yaml"]
    source = DirectorySource(tmp_path, path="deployments", follow_links=False)
    assert list(refusals(source)) == ["deployments"]
