"""The operator's settings, and the only module of the controller that reads environment variables.

Options of the command line (and their variables) are read by click, which fills `Settings`. `app` passes each part the
few values that it needs.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import timedelta
from pathlib import Path

from controller.errors import UsageError
from controller.executor_settings import ExecutorSettings
from controller.git_directory import git_directory
from controller.listen_settings import Listen
from controller.notification_settings import NotificationSettings
from controller.records import dataclass
from controller.remotes import Access, RemoteUrl, looks_like_url, parse_url
from controller.state_url import StateUrl
from controller.trigger_settings import TriggerSettings

STATE_IN_GIT = "controller"
STATE_BESIDE = ".controller"
PROJECT = "default"

_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
STATE_NAMES = frozenset({"state.db", "controller.lock", "runs", "token", "token.sha256", "exports"})
_DEPOSED = "CONTROLLER_DEPOSED"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT_MAX_RUNNING = 8 * (os.cpu_count() or 1)
"""The default of `--max-running`: flows spend most of their time waiting. docs/performance.md has the measurements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The repository to follow (a directory or a URL), the part of it to read, and the place of its state.

    All paths are absolute except `path`, that of the deployments below the root of the repository. `environment`: whose
    overlays are applied. `state_url`: None for a file in the state directory. `project`: see `project_names`.
    """

    repo: Path | RemoteUrl
    path: str
    ref: str | None
    state_dir: Path
    environment: str | None = None
    state_url: StateUrl | None = None
    project: str | None = None

    @property
    def directory(self) -> Path:
        """The repository's directory, for commands that read its files. Raises UsageError for a URL."""
        if isinstance(self.repo, RemoteUrl):
            raise UsageError(
                f"--repo {self.repo}: this command reads files on disk.",
                hint="Clone the repository, and pass the clone's directory to --repo.",
            )
        return self.repo


@dataclass(frozen=True, slots=True, kw_only=True)
class UvSettings:
    """How Python environments are built.

    `program`: None for the installed uv. `allowed_interpreters`: globs of the interpreters that deployments may name.
    `allows_source_builds`: build packages that have no wheel, which executes their code. `variables`: those of uv.
    """

    program: Path | None = None
    allowed_interpreters: tuple[str, ...] = ()
    allows_source_builds: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of `controller run`.

    `otlp_endpoint`: the base URL of the OTLP receiver to which traces are exported, None for no traces.
    `interval`: how often the source is polled, in addition to watching for changes. `max_running`: how many flows may
    run at once. `grace`: the time between SIGTERM and SIGKILL when a flow is stopped. `is_atomic`: apply a revision
    only if everything in it is valid. `drain`: on stop, wait for running flows to finish. `adopt_state`: take over a
    state that was written for another repository. `flow_user`: the name of the user that flows run as, None for the
    controller's own user. `listen`: where HTTP is served, None for no HTTP server. `uv`: how Python environments are
    built. `web_url_template`: the URL of the web page of a commit, with `{commit}`; None: guessed from the remote.
    `notifications`: who is notified, and metrics. `triggers`: what files and requests may start. `executors`: where
    flows run. `waits`: wait while another controller leads the project, instead of failing.
    """

    location: Location
    working_tree: bool = False
    adopt_state: bool = False
    is_atomic: bool = False
    drain: bool = False
    interval: timedelta = timedelta(seconds=15)
    max_running: int = DEFAULT_MAX_RUNNING
    grace: timedelta = timedelta(seconds=10)
    flow_user: str | None = None
    otlp_endpoint: str | None = None
    listen: Listen | None = None
    uv: UvSettings = UvSettings()
    web_url_template: str | None = None
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    triggers: TriggerSettings = field(default_factory=TriggerSettings)
    executors: ExecutorSettings = field(default_factory=ExecutorSettings)
    waits: bool = True


def locate(
    repo: str | None, path: str, ref: str | None, state_dir: str | None, environment: str | None = None
) -> Location:
    """Find the repository and its state directory. Raises UsageError if the arguments can't name them.

    `repo` is a directory or a URL; None means the repository around the current directory.
    """
    if repo is not None and looks_like_url(repo) and not Path(repo).exists():
        return _locate_remote(parse_url(repo), path, ref, state_dir, environment or None)
    root = Path(os.path.normpath(Path(repo).absolute() if repo is not None else enclosing_repository(Path.cwd())))
    _check_text(root, state_dir, path, ref, environment)
    if not root.is_dir():
        raise UsageError(f"--repo {root}: there is no such directory.")
    return Location(
        repo=root,
        path=_relative(path, root),
        ref=ref,
        state_dir=_state_directory(state_dir) if state_dir is not None else default_state_directory(root),
        environment=environment or None,
    )


def _state_directory(path: str) -> Path:
    """Return the path of `--state-dir`. Raises UsageError for the top of a repository: git would ignore all of it."""
    directory = Path(path).absolute()
    if (directory / ".git").exists():
        raise UsageError(
            f"--state-dir {directory} is the top of a repository.",
            hint="Choose a directory of its own for the state, or leave out --state-dir.",
        )
    return directory


def git_access() -> Access:
    """Read the credentials for git servers from the CONTROLLER_GIT_* variables. Raises UsageError."""
    username = os.environ.get("CONTROLLER_GIT_USERNAME") or "git"
    password = os.environ.get("CONTROLLER_GIT_PASSWORD") or None
    file, ca_file = (os.environ.get(f"CONTROLLER_GIT_{name}_FILE") or None for name in ("PASSWORD", "CA"))
    if password is not None and file is not None:
        raise UsageError("Set CONTROLLER_GIT_PASSWORD or CONTROLLER_GIT_PASSWORD_FILE, not both.")
    for name, value in (("CONTROLLER_GIT_USERNAME", username), ("CONTROLLER_GIT_PASSWORD", password or "")):
        if not value.isprintable():
            raise UsageError(f"{name} contains a line break or another control character.")
    return Access(
        username=username,
        password=password,
        password_file=None if file is None else Path(file).absolute(),
        ca_file=None if ca_file is None else Path(ca_file).absolute(),
    )


def _locate_remote(
    url: RemoteUrl, path: str, ref: str | None, state_dir: str | None, environment: str | None
) -> Location:
    _check_text(path, ref, state_dir, environment)
    states = _own_directory("XDG_STATE_HOME", ".local/state")
    return Location(
        repo=url,
        path=_relative(path, url),
        ref=ref,
        state_dir=_state_directory(state_dir) if state_dir is not None else states / url.directory_name,
        environment=environment,
    )


def enclosing_repository(start: Path) -> Path:
    """Return the top of the repository that contains `start`, or `start` itself if there is none."""
    for directory in (start, *start.parents):
        if (directory / ".git").exists():
            return directory
    return start


def default_state_directory(root: Path) -> Path:
    """Return the default of --state-dir for a local repository or directory.

    In a git repository this is `controller` in the git directory, which git neither lists, cleans nor stashes. It is
    `.controller` in a directory without git, in a repository that already has its state there, and in a repository
    whose git directory is read-only.
    """
    beside = root / STATE_BESIDE
    git = git_directory(root)
    if git is None:
        return beside
    inside = git / STATE_IN_GIT
    if _holds_state(inside):
        return inside
    is_writable = {path: os.access(path, os.W_OK | os.X_OK) for path in (git, root)}
    if _holds_state(beside) or (not is_writable[git] and is_writable[root]):
        return beside
    return inside


def _holds_state(directory: Path) -> bool:
    """Return whether a controller has used this directory. An unreadable one belongs to another user's controller."""
    try:
        return not STATE_NAMES.isdisjoint(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def has_screen() -> bool:
    """Return whether the terminal can move its cursor. Without TERM, or with TERM=dumb, it can only print lines."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def boot_id() -> str:
    """Return the kernel's random id of the current boot, or an empty string if it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_debugging() -> bool:
    """Return whether CONTROLLER_DEBUG requests tracebacks for internal errors."""
    return os.environ.get("CONTROLLER_DEBUG", "") not in ("", "0")


def wants_colours() -> bool:
    """Return whether to use colours on a terminal, according to NO_COLOR (no-color.org) and TERM."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def mark_deposed() -> None:
    """Record for the program that this process executes next that it led the project before."""
    os.environ[_DEPOSED] = "1"


def was_deposed() -> bool:
    """Return whether this process led the project before it executed this program."""
    return _DEPOSED in os.environ


def crashpoints() -> list[str]:
    """Return the points at which a test makes processes die: the comma-separated names in CONTROLLER_CRASHPOINT."""
    return os.environ.get("CONTROLLER_CRASHPOINT", "").split(",")


def secret_variables() -> Mapping[str, str]:
    """Return the controller's own environment, from which `env` secrets of deployments and uv's variables are read."""
    return os.environ


def drop_git_variables() -> None:
    """Remove all GIT_* variables. A git hook or alias that calls us sets them, and they name another repository."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]


@contextlib.contextmanager
def hidden_git() -> Iterator[None]:
    """Hide git from GitPython within the block, so that importing GitPython starts no process."""
    variables = {"GIT_PYTHON_REFRESH": "quiet", "GIT_PYTHON_GIT_EXECUTABLE": os.devnull}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def flow_environment() -> Mapping[str, str]:
    """Return the base environment of every flow: a safe PATH, and the controller's home, user, locale and time zone."""
    inherited = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        "HOME": str(_home()),
        "PYTHONUNBUFFERED": "1",
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
    }


def temporary_bases() -> list[str]:
    """Return the directories in which a run's TMPDIR may be created, in order of preference.

    The controller's own TMPDIR comes first, then /tmp. XDG_RUNTIME_DIR comes after them: it is small, in memory, and
    removed when its user logs out, while flows keep running.
    """
    candidates = (os.environ.get("TMPDIR", ""), "/tmp", os.environ.get("XDG_RUNTIME_DIR", ""), "/var/tmp")
    return list(dict.fromkeys(os.path.normpath(path) for path in candidates if path.startswith("/")))


def configuration_directory() -> Path:
    """Return the directory of the operator's own files of controller, such as `notify.yaml`. It may not exist."""
    return _own_directory("XDG_CONFIG_HOME", ".config")


def _own_directory(variable: str, default: str) -> Path:
    """Return controller's directory in one of the user's base directories (XDG Base Directory Specification)."""
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else _home() / default) / "controller"


def _home() -> Path:
    """Return the user's home directory, or `/` if neither HOME nor the system names one."""
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return Path("/")


def _check_text(*values: Path | str | None) -> None:
    """Raise UsageError for a value that is not valid UTF-8: neither the database nor JSON could store it."""
    for value in values:
        if value is not None and any("\ud800" <= char <= "\udfff" for char in str(value)):
            escaped = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise UsageError(f"{escaped} is not UTF-8.", hint="Use a directory whose name is UTF-8.")


def _relative(path: str, root: Path | RemoteUrl) -> str:
    relative = Path(path)
    if relative.is_absolute():
        if isinstance(root, RemoteUrl) or not relative.is_relative_to(root):
            raise UsageError(f"--path {path} is outside the repository {root}.")
        relative = relative.relative_to(root)
    clean = os.path.normpath(relative)
    if clean.startswith(".."):
        raise UsageError(f"--path {path} is outside the repository {root}.")
    return "" if clean == "." else clean
