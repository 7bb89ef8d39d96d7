"""The Python environment of a flow, which the runner builds on its node."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package_index import PackageIndex, served_index
from tests.unit.runs.nodes import Node, new_node, wait_for_end

pytestmark = pytest.mark.integration
node = new_node


@pytest.fixture
def package_index() -> Iterator[PackageIndex]:
    with served_index() as made:
        yield made


USES = "import tiny, sys\n\ndef use():\n    return [tiny.__version__, sys.prefix]\n"


@pytest.mark.parametrize("has_uv", [True, False])
def test_a_flow_runs_in_the_python_environment_of_its_digest(
    node: Node, package_index: PackageIndex, has_uv: bool
) -> None:
    lock = package_index.add("tiny", "1.5")
    python = {"digest": "e" * 64, "requirements": "tiny", "lock": lock, "version": None}
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin" if has_uv else without_uv(node)
    variables = {"PATH": path, "UV_DEFAULT_INDEX": package_index.url, "PIP_INDEX_URL": package_index.url}
    requests = []
    for _ in range(2):
        node.serve_code({"a.py": USES}, "a.py:use", python=python)
        assert node.run(**variables)["result"] == ["1.5", str(node.cache / "python" / ("e" * 64))]
        requests.append(len(package_index.requests))
    assert 0 < requests[0] == requests[1]
    [module] = node.cache.glob("python/*/lib/python*/site-packages/tiny/__init__.py")
    assert (module.stat().st_mode & 0o777, module.parent.stat().st_mode & 0o777) == (0o444, 0o555)
    assert list(module.parent.glob("__pycache__/__init__.*.pyc"))


def without_uv(node: Node) -> str:
    """Return a PATH with the interpreter, but without uv."""
    folder = node.directory / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "python3"
    if not link.exists():
        link.symlink_to(Path(sys.executable).resolve())
    return f"{folder}:/usr/bin:/bin"


def test_an_environment_that_cannot_be_built_is_a_failed_launch(node: Node, package_index: PackageIndex) -> None:
    python = {"digest": "e" * 64, "requirements": "missing==1", "lock": None, "version": None}
    peer = node.serve_code({"a.py": USES}, "a.py:use", python=python)
    assert wait_for_end(node.start(UV_DEFAULT_INDEX=package_index.url)) == 1
    assert peer.failed is not None
    assert "missing" in peer.failed
    assert peer.instance is None
    assert node.attempts == []
