"""Fixtures that read manifests from strings."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.snapshots import ManifestFile

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

Read = Callable[..., DesiredState]


def manifest(path: str, content: str | bytes) -> ManifestFile:
    data = content.encode() if isinstance(content, str) else content
    return ManifestFile(path=path, content=data, digest=str(hash(data)))


@pytest.fixture
def reader() -> ManifestReader:
    return ManifestReader()


@pytest.fixture
def read(reader: ManifestReader) -> Read:
    """`read("text")` reads one file, `read(a_yaml="…", b_json="…")` several."""

    def read_now(content: str | bytes | None = None, **others: str | bytes) -> DesiredState:
        files = [] if content is None else [manifest("deployments/a.yaml", content)]
        files += [manifest(f"deployments/{name.replace('_', '.')}", text) for name, text in others.items()]
        return reader.read(files, NOW)

    return read_now
