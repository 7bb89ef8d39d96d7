"""What the operator decided, and the only place that reads the environment.

The command line fills `Settings`; every part gets the few values it needs from `app`.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from controller.errors import UsageError

DEFAULT_PATH = "deployments"
PROJECT = "default"

_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Which repository, which part of it, and where its state is kept. All paths are absolute.

    `path` is the deployments path from the repository root with `/`, empty for the whole repository. `environment` is
    the one whose overlays are laid over the documents, None for none.
    """

    repo: Path
    path: str
    ref: str | None
    state_dir: Path
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `controller run` needs to know.

    `interval`: how often to look at the source though nothing hinted at a change. `max_running`: how many flows may
    run at once; default twice the cores, since flows mostly wait. `grace`: from SIGTERM to SIGKILL of a flow.
    `flow_user`: the name of the user that flows run as, None for the controller's own.
    """

    location: Location
    working_tree: bool = False
    interval: timedelta = timedelta(seconds=15)
    max_running: int = 2 * (os.cpu_count() or 1)
    grace: timedelta = timedelta(seconds=10)
    flow_user: str | None = None


def locate(
    repo: str | None, path: str, ref: str | None, state_dir: str | None, environment: str | None = None
) -> Location:
    """Find the repository and its state directory. Raises UsageError for what can't be one."""
    if repo is not None and _looks_remote(repo):
        raise UsageError(
            f"--repo {repo}: this version follows local repositories only.",
            hint="Clone it, and keep the clone up to date with `git pull`.",
        )
    root = Path(repo).absolute() if repo is not None else enclosing_repository(Path.cwd())
    root = Path(os.path.normpath(root))
    if not root.is_dir():
        raise UsageError(f"--repo {root}: there is no such directory.")
    return Location(
        repo=root,
        path=_relative(path, root),
        ref=ref,
        state_dir=Path(state_dir).absolute() if state_dir is not None else root / ".controller",
        environment=environment or None,
    )


def enclosing_repository(start: Path) -> Path:
    """The repository that `start` lies in, or `start` itself if there is none."""
    for directory in (start, *start.parents):
        if (directory / ".git").exists():
            return directory
    return start


def is_git_repository(root: Path) -> bool:
    """Whether this directory is the top of a git repository, a bare one included."""
    return (root / ".git").exists() or all((root / part).exists() for part in ("HEAD", "objects", "refs"))


def boot_id() -> str:
    """The kernel's name for this boot of the machine; empty where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_debugging() -> bool:
    """Whether CONTROLLER_DEBUG asks for tracebacks of our own faults."""
    return os.environ.get("CONTROLLER_DEBUG", "") not in ("", "0")


def crashpoints() -> list[str]:
    """Where a test wants the controller or its supervisors to die: CONTROLLER_CRASHPOINT, names with commas between."""
    return os.environ.get("CONTROLLER_CRASHPOINT", "").split(",")


def secret_variables() -> Mapping[str, str]:
    """Where the secrets of deployments are looked up that are declared as `env`: the controller's own environment."""
    return os.environ


def forget_git_environment() -> None:
    """Drop what a calling git (a hook, an alias) has set: it would send us to another repository."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]


def flow_environment() -> Mapping[str, str]:
    """What a flow gets of the controller's environment: a sane PATH, and where and in which language it is."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        "HOME": str(Path("~").expanduser()),
        "PYTHONUNBUFFERED": "1",
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
    }


def _relative(path: str, root: Path) -> str:
    given = Path(path)
    if given.is_absolute():
        if not given.is_relative_to(root):
            raise UsageError(f"--path {path} is outside the repository {root}.")
        given = given.relative_to(root)
    clean = os.path.normpath(given)
    if clean.startswith(".."):
        raise UsageError(f"--path {path} is outside the repository {root}.")
    return "" if clean == "." else clean


def _looks_remote(repo: str) -> bool:
    if "://" in repo or "::" in repo:
        return True
    head, colon, _ = repo.partition(":")
    return bool(colon) and "/" not in head and not Path(repo).exists()
