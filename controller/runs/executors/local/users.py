"""Who flows run as, where that is another user than the controller's: who that is, and how it gets to its code.

`app` asks at start, and the launcher for each run. The controller's own directories stay closed to everybody else: the
group of that user may pass through those on the way to the code and to the run's private directory, and can list none.
"""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from controller.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowUser:
    """A user of this machine with all its groups, and the environment that says who it is."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def environment(self) -> dict[str, str]:
        """What a flow's environment says of its user."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}

    def may_enter(self, directory: Path) -> bool:
        """Whether the permission bits let this user pass through."""
        found = directory.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid in self.groups else 0
        return self.uid == 0 or bool(found.st_mode >> shift & 1)


def find_user(name: str) -> FlowUser:
    """The user of this name. Raises UsageError where flows can't run as somebody else, or there is no such user."""
    if os.geteuid() != 0:
        raise UsageError(
            f"--flow-user {name}: only root can run flows as another user.",
            hint="Start the controller as root, or as that user and without --flow-user.",
        )
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(f"--flow-user {name}: there is no such user.") from None
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return FlowUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=groups, home=entry.pw_dir)


def check_ways(user: FlowUser, *places: Path) -> None:
    """Raises UsageError, naming the directory, if the user can't get to one of these through directories not ours."""
    for place in places:
        for directory in reversed(place.parents):
            if not user.may_enter(directory):
                group = grp.getgrgid(user.gid).gr_name
                raise UsageError(
                    f"--flow-user {user.name}: {user.name} can't pass through {directory} to {place}.",
                    hint=f"Let the group {group} pass (chmod g+x), or put it where it can be reached.",
                )


def let_pass(user: FlowUser, *directories: Path) -> None:
    """Let the user's group pass through these directories of ours, and do nothing else in them."""
    for directory in directories:
        found = directory.stat()
        if found.st_gid != user.gid:
            os.chown(directory, -1, user.gid)
        if found.st_mode & 0o777 != 0o710:
            directory.chmod(0o710)


def own_directory(user: FlowUser, directory: Path) -> None:
    """Make a private directory of the user's, if there is none."""
    if not directory.exists():
        directory.mkdir(mode=0o700)
        os.chown(directory, user.uid, user.gid)
