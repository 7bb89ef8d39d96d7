"""`doctor` and the log describe the protection of exported code that the system really gives."""

import os
from collections.abc import Iterator

import pytest

from controller.cli.doctor_checks import examine
from controller.runs import export_protection
from controller.runs.export_protection import Protection, find_protection
from controller.settings import locate
from tests.conftest import GitRepository


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Let each test find the protection itself."""
    find_protection.cache_clear()
    yield
    find_protection.cache_clear()


def test_doctor_shows_how_exports_are_protected(repository: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    location = locate(str(repository.path), "deployments", None, None)
    (check,) = [one for one in examine(location) if one.name == "exports"]
    assert check.status == ("warning" if find_protection() is Protection.COMPARISON else "ok")
    # A system that refuses: the interpreter that tries it ends with an error.
    monkeypatch.setattr(export_protection, "_SEAL", "import sys; sys.exit(3)")
    find_protection.cache_clear()
    (check,) = [one for one in examine(location) if one.name == "exports"]
    assert check.status == ("warning" if os.geteuid() == 0 else "ok")
    assert "verified before each run" in check.message


def test_a_plain_directory_has_no_exports_to_protect(repository: GitRepository) -> None:
    plain = repository.path.parent / "plain"
    plain.mkdir()
    assert "exports" not in [one.name for one in examine(locate(str(plain), "deployments", None, None))]
