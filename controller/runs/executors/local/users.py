"""Finds the user that flows run as (`--flow-user`), and gives it access to the code and to its runs.

Called by `app` at start, and by the launcher for each run. The controller's directories stay closed to everyone else:
the group of that user may traverse those on the path to the code and to the run's private directory, but not list them.
"""

import grp
import os
import pwd
from pathlib import Path

from controller.errors import UsageError
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowUser:
    """A user of this machine, with all its groups and its environment variables."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that identify the user to a flow."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}

    def may_enter(self, directory: Path) -> bool:
        """Return whether the permission bits let this user traverse the directory."""
        status = directory.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return self.uid == 0 or bool(status.st_mode >> shift & 1)


def find_user(name: str) -> FlowUser:
    """Return the user of this name. Raises UsageError if it does not exist, or if we are not root."""
    if os.geteuid() != 0:
        raise UsageError(
            f"--flow-user {name}: only root can run flows as another user.",
            hint="Start the controller as root, or as that user without --flow-user.",
        )
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--flow-user {name}: unknown user.") from None
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return FlowUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)


def check_access(user: FlowUser, *paths: Path) -> None:
    """Raise UsageError, with the name of the directory, if the user can't reach one of these paths."""
    for path in paths:
        for directory in reversed(path.parents):
            if not user.may_enter(directory):
                group = grp.getgrgid(user.gid).gr_name
                raise UsageError(
                    f"--flow-user {user.name}: {user.name} can't traverse {directory} to reach {path}.",
                    hint=f"Run `chgrp {group} {directory}` and `chmod g+x {directory}`, or use another location.",
                )


def grant_traversal(user: FlowUser, *directories: Path) -> None:
    """Let the user's group traverse these directories of the controller, and nothing else (mode 0710)."""
    for directory in directories:
        status = directory.stat()
        if status.st_gid != user.gid:
            os.chown(directory, -1, user.gid)
        if status.st_mode & 0o777 != 0o710:
            directory.chmod(0o710)


def create_private_directory(user: FlowUser, directory: Path) -> None:
    """Create a private directory that the user owns, unless it exists."""
    if not directory.exists():
        directory.mkdir(mode=0o700)
        os.chown(directory, user.uid, user.gid)
