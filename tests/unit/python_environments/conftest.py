"""A package index on this machine, a counted uv, and the Python environments of an empty state."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.model.python_environments import PythonRequest, RequirementsSource
from controller.python_environments import PythonEnvironments
from controller.settings import UvSettings
from controller.store import Store
from tests.conftest import ManualClock
from tests.package_index import CountedUv, PackageIndex, counted_uv, served_index


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with served_index() as index:
        yield index


@pytest.fixture
def uv(tmp_path: Path) -> CountedUv:
    return counted_uv(tmp_path)


Make = Callable[..., PythonEnvironments]


@pytest.fixture
def make(store: Store, clock: ManualClock, tmp_path: Path, index: PackageIndex, uv: CountedUv) -> Iterator[Make]:
    """Make Python environments of the same state, as controllers do that run one after another."""
    made: list[PythonEnvironments] = []

    def make(*, allow: tuple[str, ...] = (), source_builds: bool = False, **variables: str) -> PythonEnvironments:
        base = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_DEFAULT_INDEX": index.url, "UV_HTTP_RETRIES": "0"}
        settings = UvSettings(
            program=uv.program,
            allowed_interpreters=allow,
            allows_source_builds=source_builds,
            variables={**base, **variables},
        )
        made.append(PythonEnvironments(store, clock, tmp_path / "python", settings))
        return made[-1]

    yield make
    for environments in made:
        environments.stop()


@pytest.fixture
def environments(make: Make) -> PythonEnvironments:
    return make()


def requirements(*lines: str, version: str | None = None) -> PythonRequest:
    """Return the request of a requirements file with these lines."""
    return PythonRequest(
        source=RequirementsSource.FILE,
        declared_at="flows/requirements.txt",
        files={"flows/requirements.txt": "".join(f"{line}\n" for line in lines)},
        entry="flows/requirements.txt",
        version=version,
    )


def processes_with(text: str) -> list[int]:
    """Return the processes with this text in their environment variables, except this one."""
    pids = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and int(directory.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text.encode() in (directory / "environ").read_bytes():
                    pids.append(int(directory.name))
    return pids
