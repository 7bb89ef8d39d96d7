"""The cache of a node: code that several attempts share, which is checked, fetched again and removed."""

import io
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node_peer import ROOT, digest_of, order_of, zip_of
from tests.unit.runs.nodes import FLOW, Node, new_node, wait_for_end

pytestmark = pytest.mark.integration
node = new_node


def test_runners_that_start_together_on_an_empty_node_fetch_the_code_once(node: Node) -> None:
    peers = [node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1}) for _ in range(3)]
    jobs = []
    for peer in peers:
        node.peer = peer
        jobs.append(node.start())
    assert [wait_for_end(job) for job in jobs] == [0, 0, 0]
    assert [peer.ending and peer.ending["outcome"] for peer in peers] == ["succeeded"] * 3
    assert len(node.entries("code")) == 1
    runners = 3  # each may fetch the runner's package before another has unpacked it
    assert sum(peer.requests["packages"] for peer in peers) <= runners + 1


CHANGES = """
from pathlib import Path

def change():
    file = Path(__file__)
    file.chmod(0o644)
    file.write_text("changed")
    return file.read_text()
"""


def test_code_that_a_flow_has_changed_is_not_used_again(node: Node) -> None:
    for _ in range(2):
        peer = node.serve_code({"a.py": CHANGES}, "a.py:change")
        # Where the kernel allows it, the flow can't change its code.
        assert node.run()["outcome"] in ("succeeded", "failed")
    assert peer.ending is not None
    assert "changed" not in str(peer.ending.get("error"))


def test_a_changed_file_in_the_cache_is_found_after_a_run_that_may_have_changed_it(node: Node) -> None:
    node.serve_code({"a.py": FLOW, "b/c": ""}, "a.py:count", parameters={"x": 1})
    node.run()
    [name] = node.entries("code")
    folder = node.cache / "code" / name
    for changed in ("tree/a.py", "tree/b/d"):
        (folder / "tree/a.py").chmod(0o600)
        (folder / "tree/b").chmod(0o700)
        (folder / changed).write_text("x", encoding="utf-8")
        (folder / "doubt").touch()
        peer = node.serve_code({"a.py": FLOW, "b/c": ""}, "a.py:count", parameters={"x": 2})
        assert node.run()["result"][0] == 4
        assert peer.requests["packages"] == 1
    assert node.entries("code") == [name]


def test_code_keeps_its_permissions_and_symbolic_links(node: Node) -> None:
    package = zip_of({"run.sh": "#!/bin/sh\nls -l data | cut -c1-10; cat link\n", "data": "x"}, executable=("run.sh",))
    linked = add_link(package, "link", "data")
    code = {"digest": digest_of(linked), "root": ROOT}
    peer = node.serve(order_of(code=code, argv=["./run.sh"]), {code["digest"]: linked})
    assert node.run()["outcome"] == "succeeded"
    assert peer.files["log"] == b"-r--r--r--\nx"


def add_link(package: bytes, name: str, target: str) -> bytes:
    data = io.BytesIO(package)
    with zipfile.ZipFile(data, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return data.getvalue()


def test_entries_of_the_cache_that_nobody_has_used_for_long_are_removed(node: Node) -> None:
    node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run()
    [old] = node.entries("code")
    os.utime(node.cache / "code" / f"{old}.lock", (0, 0))
    node.serve_code({"a.py": FLOW, "b.py": ""}, "a.py:count", parameters={"x": 1})
    node.run()
    [new] = node.entries("code")
    assert new != old
    assert not (node.cache / "code" / f"{old}.lock").exists()


@pytest.mark.parametrize("prepare", [lambda path: path.mkdir(mode=0o755), lambda path: path.symlink_to(path.parent)])
def test_a_cache_that_others_can_write_to_is_not_used(node: Node, prepare: Callable[[Path], None]) -> None:
    prepare(node.cache)
    node.serve_code({"a.py": FLOW}, "a.py:count")
    job = node.start()
    assert wait_for_end(job) == 1
    assert job.stderr is not None
    assert b"must be a directory of this user with mode 0700" in job.stderr.read()
    assert node.peer.requests == {}
