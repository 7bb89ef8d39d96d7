"""Commands without permissions for the state directory say so, and `doctor` reports it as a failed check."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.cli.doctor_checks import examine
from controller.errors import StateError
from controller.queries.doctor import Check
from controller.settings import Location, locate
from controller.store import Store
from controller.store.access_check import check_access
from controller.store.databases.sqlite import state_error
from controller.store.state_directory import StateDirectory


@pytest.fixture
def place() -> Iterator[Location]:
    """A directory with a state, which every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        location = locate(str(root), "", None, None)
        location.state_dir.mkdir(mode=0o700)
        Store.open(StateDirectory.at(location).database).close()
        examine(location)  # imports what it needs
        yield location
        root.chmod(0o755)
        location.state_dir.chmod(0o700)


@contextmanager
def owner_of(location: Location) -> Iterator[None]:
    """Act as the owner of the directory and its state, without the privileges of root."""
    if os.geteuid() != 0:
        yield
        return
    for path in (location.directory, *location.directory.rglob("*")):
        os.chown(path, 65534, -1)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def state_check(location: Location) -> Check:
    with owner_of(location):
        return {check.name: check for check in examine(location)}["state"]


def test_a_state_that_its_owner_may_not_read_has_another_mode(place: Location) -> None:
    place.state_dir.chmod(0)
    with owner_of(place), pytest.raises(StateError, match="can't be read: it has mode 000") as error:
        check_access(place)
    assert error.value.hint == f"Run: chmod 700 {place.state_dir}"
    check = state_check(place)
    assert (check.status, check.message) == ("error", f"{place.state_dir} has mode 000")
    assert check.hint == f"chmod 700 {place.state_dir}"


def test_doctor_finds_that_the_state_directory_can_t_be_created(place: Location) -> None:
    missing = locate(str(place.directory), "", None, str(place.directory / "a" / "b"))
    assert state_check(missing).status == "ok"
    place.directory.chmod(0o555)
    check = state_check(missing)
    assert check.status == "error"
    assert f"can't be created: {place.directory} is not a directory in which this user can write" in check.message


@pytest.mark.parametrize("message", ["attempt to write a readonly database", "unable to open database file"])
def test_a_database_without_permissions_is_not_one_to_restore(message: str) -> None:
    hint = state_error(sqlite3.OperationalError(message)).hint
    assert hint is not None
    assert hint.startswith("Check the permissions")
