"""What the operator decided, and the only place of the controller that reads the environment (click reads options).

The command line fills `Settings`; every part gets the few values it needs from `app`.
"""

import contextlib
import ipaddress
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from controller.errors import UsageError
from controller.remotes import Access, RemoteUrl, looks_like_url, parse_url

DEFAULT_PATH = "deployments"
STATE_IN_GIT = "controller"
STATE_BESIDE = ".controller"
PROJECT = "default"

_PUBLIC_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
STATE_NAMES = frozenset({"state.db", "controller.lock", "runs", "token", "token.sha256", "exports"})
_MOST_LINK_BYTES = 4096
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


DEFAULT_MAX_RUNNING = 2 * (os.cpu_count() or 1)
"""How many flows run at once unless the operator says otherwise: twice the cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Which repository (a directory or a URL), which part of it, and where its state is kept. All paths are absolute.

    `path` is the deployments path from the repository root with `/`, empty for the whole repository. `environment` is
    the one whose overlays are laid over the documents, None for none.
    """

    repo: Path | RemoteUrl
    path: str
    ref: str | None
    state_dir: Path
    environment: str | None = None

    @property
    def directory(self) -> Path:
        """The repository, for commands that read its files. Raises UsageError for a URL."""
        if isinstance(self.repo, RemoteUrl):
            raise UsageError(
                f"--repo {self.repo}: this command reads files on disk.", hint="Clone it, and name the clone."
            )
        return self.repo


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where HTTP is served, and how. `is_explicit`: somebody asked for exactly this, so it must not be given up.

    `public_hosts` are further names that a browser may use for it; `is_behind_proxy` says that a proxy adds TLS.
    """

    host: str = "127.0.0.1"
    port: int = 4200
    is_explicit: bool = False
    certificate: Path | None = None
    key: Path | None = None
    is_behind_proxy: bool = False
    public_hosts: tuple[str, ...] = ()

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `controller run` needs to know.

    `interval`: how often to look at the source though nothing hinted at a change. `max_running`: how many flows may
    run at once; default twice the cores, since flows mostly wait. `grace`: from SIGTERM to SIGKILL of a flow.
    `is_atomic`: apply a revision only if everything in it is valid. `drain`: end only when what runs has ended.
    `adopt_state`: go on with a state that another repository has written.
    `flow_user`: the name of the user that flows run as, None for the controller's own.
    `listen`: where HTTP is served, None for nowhere.
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
    listen: Listen | None = None


def parse_listen(
    address: str | None,
    *,
    certificate: str | None = None,
    key: str | None = None,
    is_behind_proxy: bool = False,
    public_hosts: tuple[str, ...] = (),
) -> Listen | None:
    """Where to serve: `HOST:PORT`, `none` for nowhere, None for the default. Raises UsageError.

    Other machines may reach it only with TLS, ours or that of a proxy in front.
    """
    if address == "none":
        return None
    if (certificate is None) != (key is None):
        raise UsageError("--tls-certificate and --tls-key belong together.")
    host, _, port = (address or "127.0.0.1:4200").rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not _is_address(host) or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen {address}: it takes HOST:PORT with an IP address, or none.")
    if any(not _PUBLIC_HOST.fullmatch(name) for name in public_hosts):
        raise UsageError("--public-host: it takes a name as browsers show it, without scheme and path.")
    found = Listen(
        host=host,
        port=int(port),
        is_explicit=bool(address),
        certificate=None if certificate is None else Path(certificate).absolute(),
        key=None if key is None else Path(key).absolute(),
        is_behind_proxy=is_behind_proxy,
        public_hosts=public_hosts,
    )
    for file in (found.certificate, found.key):
        if file is not None and not file.is_file():
            raise UsageError(f"{file}: there is no such file.")
    if not found.is_loopback and found.certificate is None and not is_behind_proxy:
        raise UsageError(
            f"--listen {address}: other machines could read along what is said there.",
            hint="Give --tls-certificate and --tls-key, or --behind-proxy if a proxy in front adds TLS.",
        )
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def locate(
    repo: str | None, path: str, ref: str | None, state_dir: str | None, environment: str | None = None
) -> Location:
    """Find the repository and its state directory. Raises UsageError for what can't be one."""
    if repo is not None and looks_like_url(repo) and not Path(repo).exists():
        return _locate_remote(parse_url(repo), path, ref, state_dir, environment or None)
    root = Path(repo).absolute() if repo is not None else enclosing_repository(Path.cwd())
    root = Path(os.path.normpath(root))
    _check_text(root, state_dir, path, ref, environment)
    if not root.is_dir():
        raise UsageError(f"--repo {root}: there is no such directory.")
    return Location(
        repo=root,
        path=_relative(path, root),
        ref=ref,
        state_dir=Path(state_dir).absolute() if state_dir is not None else default_state_directory(root),
        environment=environment or None,
    )


def git_access() -> Access:
    """What the operator gave to be let in at a server over http(s). Raises UsageError."""
    username = os.environ.get("CONTROLLER_GIT_USERNAME") or "git"
    password = os.environ.get("CONTROLLER_GIT_PASSWORD") or None
    file, ca_file = (os.environ.get(f"CONTROLLER_GIT_{name}_FILE") or None for name in ("PASSWORD", "CA"))
    if password is not None and file is not None:
        raise UsageError("Set CONTROLLER_GIT_PASSWORD or CONTROLLER_GIT_PASSWORD_FILE, not both.")
    for name, value in (("CONTROLLER_GIT_USERNAME", username), ("CONTROLLER_GIT_PASSWORD", password or "")):
        if not value.isprintable():
            raise UsageError(f"{name} has a character in it that can't be part of a line.")
    return Access(
        username=username,
        password=password,
        password_file=None if file is None else Path(file).absolute(),
        ca_file=None if ca_file is None else Path(ca_file).absolute(),
    )


def _locate_remote(
    url: RemoteUrl, path: str, ref: str | None, state_dir: str | None, environment: str | None
) -> Location:
    home = os.environ.get("XDG_STATE_HOME", "")
    _check_text(path, ref, state_dir, environment)
    states = Path(home) if Path(home).is_absolute() else _home() / ".local/state"
    return Location(
        repo=url,
        path=_relative(path, url),
        ref=ref,
        state_dir=Path(state_dir).absolute() if state_dir is not None else states / "controller" / url.directory_name,
        environment=environment,
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


def git_directory(root: Path) -> Path | None:
    """Where git keeps this repository: `.git`, or what `.git` names in a linked worktree, or a bare repository itself.

    None for a directory that is not the top of a repository.
    """
    dot_git = root / ".git"
    if dot_git.is_dir():
        return dot_git
    if not dot_git.exists():
        return root if is_git_repository(root) else None
    if not dot_git.is_file():
        return None  # a FIFO would be waited for
    try:
        with dot_git.open(encoding="utf-8", errors="surrogateescape") as stream:
            said = stream.read(_MOST_LINK_BYTES)
    except OSError:
        return None
    kind, _, place = said.partition(":")
    found = Path(os.path.normpath(root / place.strip()))
    return found if kind == "gitdir" and place.strip() and found.is_dir() else None


def default_state_directory(root: Path) -> Path:
    """Where the state of a local repository or directory is, unless --state-dir says otherwise.

    `controller` in the git directory: git neither lists, cleans nor stashes what is there. A directory without git has
    `.controller`, and so has a repository whose state is there already or whose git directory is read-only.
    """
    beside = root / STATE_BESIDE
    git = git_directory(root)
    if git is None:
        return beside
    inside = git / STATE_IN_GIT
    if _holds_state(inside):
        return inside
    if _holds_state(beside) or (not _is_writable(git) and _is_writable(root)):
        return beside
    return inside


def _holds_state(directory: Path) -> bool:
    """Whether a controller has used this directory. One that can't be read belongs to somebody else's controller."""
    try:
        return not STATE_NAMES.isdisjoint(path.name for path in directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def has_screen() -> bool:
    """Whether the terminal can be drawn on: without TERM, or with TERM=dumb, it takes lines only."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def boot_id() -> str:
    """The kernel's name for this boot of the machine; empty where it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_debugging() -> bool:
    """Whether CONTROLLER_DEBUG asks for tracebacks of our own faults."""
    return os.environ.get("CONTROLLER_DEBUG", "") not in ("", "0")


def wants_colours() -> bool:
    """Whether the user wants colours on a terminal that can show them: NO_COLOR and TERM say so."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


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


@contextlib.contextmanager
def hidden_git() -> Iterator[None]:
    """Within, GitPython finds no git and does not mind: importing it starts no process then."""
    wanted = {"GIT_PYTHON_REFRESH": "quiet", "GIT_PYTHON_GIT_EXECUTABLE": os.devnull}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def flow_environment() -> Mapping[str, str]:
    """What a flow gets of the controller's environment: a sane PATH, and where and in which language it is."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        "LANG": "C.UTF-8",
        "HOME": str(_home()),
        "PYTHONUNBUFFERED": "1",
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{_SYSTEM_PATH}",
    }


def temporary_bases() -> list[str]:
    """Below which directories runs may have their TMPDIR, the first that works: the controller's own TMPDIR, or /tmp.

    XDG_RUNTIME_DIR comes after them: it is small, in memory, and removed when its user logs out, which flows outlive.
    """
    given = (os.environ.get("TMPDIR", ""), "/tmp", os.environ.get("XDG_RUNTIME_DIR", ""), "/var/tmp")
    return list(dict.fromkeys(os.path.normpath(path) for path in given if path.startswith("/")))


def _home() -> Path:
    """The user's home directory; `/` where neither HOME nor the system names one."""
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return Path("/")


def _check_text(*given: Path | str | None) -> None:
    """Raises UsageError for what is not UTF-8: the database and JSON could not express it."""
    for value in given:
        if value is not None and any("\ud800" <= char <= "\udfff" for char in str(value)):
            shown = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            raise UsageError(f"{shown} is not UTF-8.", hint="Use a directory whose name is UTF-8.")


def _relative(path: str, root: Path | RemoteUrl) -> str:
    given = Path(path)
    if given.is_absolute():
        if isinstance(root, RemoteUrl) or not given.is_relative_to(root):
            raise UsageError(f"--path {path} is outside the repository {root}.")
        given = given.relative_to(root)
    clean = os.path.normpath(given)
    if clean.startswith(".."):
        raise UsageError(f"--path {path} is outside the repository {root}.")
    return "" if clean == "." else clean
