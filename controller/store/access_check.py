"""Checks whether this user, and commands for this repository, may use a state. Does not import SQLAlchemy.

If a controller followed another repository with the same state, it would prune every deployment of the first one.
`controller run` checks this before its first pass (in `ownership`), and every command that uses the state does too.
"""

import os
import pwd
import shlex
import sqlite3
from contextlib import closing
from urllib.parse import quote

from controller.errors import NoStateError, StateError, UsageError
from controller.git_directory import git_directory
from controller.remotes import RemoteUrl, canonical, local_path
from controller.settings import PROJECT, STATE_BESIDE, STATE_IN_GIT, Location
from controller.state_url import StateUrl
from controller.store.state_directory import StateDirectory


def check_access(location: Location) -> None:
    """Raise NoStateError if no controller has ever run here, and StateError if only another user may read the state."""
    state = StateDirectory.at(location)
    try:
        status = state.path.stat()
        is_used = state.is_used()
    except (FileNotFoundError, NotADirectoryError):
        is_used = False
    except PermissionError as error:
        raise StateError(f"The state directory {state.path} can't be read: {error.strerror}.") from error
    if not is_used and location.state_url is not None:
        raise NoStateError(
            f"No controller has run on this machine with the database {location.state_url}:"
            f" there is no state directory {state.path}.",
            hint="Run this command on the machine of a controller, or name its directory with --state-dir.",
        )
    if not is_used:
        raise NoStateError(
            f"No controller has ever run for {location.repo}: there is no state at {state.path}.",
            hint="Start one with `controller run`, or select another repository with --repo or its state with"
            " --state-dir.",
        )
    if not os.access(state.path, os.R_OK | os.X_OK, effective_ids=True):
        if status.st_uid == os.geteuid():
            mode = f"{status.st_mode & 0o777:03o}"
            raise StateError(
                f"The state directory {state.path} can't be read: it has mode {mode}.",
                hint=f"Run: chmod 700 {shlex.quote(str(state.path))}",
            )
        user = _user_name(status.st_uid)
        pid = state.find_holder_pid()
        raise StateError(
            f"The state directory {state.path} belongs to the user {user}."
            if pid is None
            else f"A controller of the user {user} is running (pid {pid}); only that user can read its state"
            f" {state.path}.",
            hint=f"Run this command as {user} or as root.",
        )


def check_owner(location: Location) -> None:
    """Raise UsageError if the state belongs to another repository or project. Errors of reading it are ignored.

    The controller itself checks the owner of a state on a server.

    Reads one column through the driver: importing SQLAlchemy would take longer than the rest of the command.
    """
    database = StateDirectory.at(location).database
    if isinstance(database, StateUrl):
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            query = "SELECT repo, project_name FROM source WHERE project = ?"
            row = connection.execute(query, (PROJECT,)).fetchone()
    except sqlite3.Error:
        return
    if row is not None:
        check_repository(row[0], location)
        check_project(row[1], location)


def check_repository(owner: str, location: Location) -> None:
    """Raise UsageError if the state, which belongs to the repository `owner`, is not that of this location."""
    if not is_of_repository(owner, location) and not has_moved(owner, location):
        raise UsageError(
            f"The {name_state(location)} belongs to the repository {owner}, not to {location.repo}.",
            hint=f"Add --repo {shlex.quote(owner)} to read the state of that one, or choose another"
            f" {state_option(location)}.",
        )


def check_project(owner: str | None, location: Location) -> None:
    """Raise UsageError if the state, which is that of the project `owner`, is not that of this location's project.

    In a database on a server, each project has a state of its own, and `owner` may be the name before it was copied.
    """
    name = location.project if location.state_url is None else None
    if name is not None and owner is not None and name != owner:
        raise UsageError(
            f"The {name_state(location)} is that of the project {owner}, not of {name}.",
            hint=f"One file has the state of one project: choose another --state-dir, or use --project {owner}."
            f" If the project is called {name} from now on, use `controller run --project {name} --adopt-state`.",
        )


def name_state(location: Location) -> str:
    """Return how messages name the state, without an article."""
    if location.state_url is not None:
        return f"database {location.state_url}"
    return f"state directory {location.state_dir}"


def state_option(location: Location) -> str:
    """Return the option that selects another state, or two of them."""
    return "--state-dir" if location.state_url is None else "--project or --state-url"


def is_of_repository(owner: str, location: Location) -> bool:
    """Return whether `owner` names the repository of this location."""
    return canonical(owner) == canonical(str(location.repo))


def has_moved(owner: str, location: Location) -> bool:
    """Return whether the repository was moved together with the state in it: nothing exists at its old path."""
    old, root = local_path(owner), location.repo
    if old is None or os.path.lexists(old) or isinstance(root, RemoteUrl):
        return False
    git = git_directory(root)
    inside = [root / STATE_BESIDE, *([] if git is None else [git / STATE_IN_GIT])]
    return os.path.realpath(location.state_dir) in map(os.path.realpath, inside)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
