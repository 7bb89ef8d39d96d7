"""Who may use the HTTP API: the bearer of the token, and browsers that have logged in. `security_middleware` asks.

The token lies in the state directory for the operator; it is compared by its hash, which is kept beside it. A session
is signed with a key that comes from the token, so that it outlives a restart and ends when the token is replaced. Those
that were ended by hand are kept, without their signatures, until they would have expired.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
from datetime import datetime, timedelta
from pathlib import Path

from controller.clock import Clock
from controller.errors import StateError

log = logging.getLogger(__name__)

CODE_LIFE = timedelta(minutes=10)
SESSION_LIFE = timedelta(days=7)
_MOST_CODES = 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,256}")
_CLAIM = re.compile(r"[0-9]{1,12}\.[A-Za-z0-9_-]{22}")
_SESSION = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


class Credentials:
    """Safe to use from several threads."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, datetime] = {}
        self._digest = _load(directory / "token", directory / "token.sha256")
        self._key = hashlib.sha256(b"session:" + self._digest.encode()).digest()
        self._kept = directory / "sessions.ended"
        self._ended = _claims(self._kept)

    def is_token(self, text: str) -> bool:
        """Whether this is the token; takes as long whatever it is."""
        return hmac.compare_digest(_hash(text), self._digest)

    def new_code(self) -> str:
        """A code that opens one session, within ten minutes."""
        code = secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._lock:
            alive = {known: end for known, end in self._codes.items() if end > now}
            self._codes = dict(list(alive.items())[-(_MOST_CODES - 1) :])
            self._codes[_hash(code)] = now + CODE_LIFE
        return code

    def redeem(self, text: str) -> bool:
        """Whether this is the token, or a code that nobody has used yet; then it is used now."""
        if self.is_token(text):
            return True
        with self._lock:
            end = self._codes.pop(_hash(text), None)
        return end is not None and end > self._clock.now()

    def new_session(self) -> str:
        """The value of a session's cookie."""
        end = int((self._clock.now() + SESSION_LIFE).timestamp())
        claim = f"{end}.{secrets.token_urlsafe(16)}"
        return f"{claim}.{self._sign(claim)}"

    def is_session(self, value: str) -> bool:
        """Whether this cookie is one of ours, and neither expired nor ended."""
        found = _SESSION.fullmatch(value)
        if found is None or not hmac.compare_digest(self._sign(f"{found[1]}.{found[2]}"), found[3]):
            return False
        return int(found[1]) > self._clock.now().timestamp() and f"{found[1]}.{found[2]}" not in self._ended

    def end_session(self, value: str) -> None:
        """This cookie opens nothing any more, also after a restart."""
        if not self.is_session(value):
            return
        now = self._clock.now().timestamp()
        with self._lock:
            claims = {*self._ended, value.rpartition(".")[0]}
            self._ended = {claim for claim in claims if int(claim.partition(".")[0]) > now}
            try:
                _write(self._kept, "\n".join(sorted(self._ended)))
            except OSError as error:
                log.warning(
                    "A logout can't be written down: it holds until the controller is restarted",
                    extra={"file": str(self._kept), "error": error.strerror},
                )

    def _sign(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _load(token: Path, digest: Path) -> str:
    """The hash of the token: of the file that the operator has, else as it was kept, else of a new one."""
    try:
        if token.exists():
            text = token.read_text(encoding="ascii", errors="replace").strip()
            if not _TOKEN.fullmatch(text):
                raise StateError(
                    f"{token} holds no token.",
                    hint="It needs 43 or more of A-Z a-z 0-9 - _; or delete it for a new one.",
                )
            found = _hash(text)
        elif digest.exists():
            return digest.read_text(encoding="ascii").strip()
        else:
            text = secrets.token_urlsafe(32)
            found = _hash(text)
            _write(token, text)
        if not digest.exists() or digest.read_text(encoding="ascii").strip() != found:
            _write(digest, found)
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"The token in {token.parent} can't be used: {error}.") from error
    return found


def _claims(path: Path) -> set[str]:
    """The sessions that were ended. What stands there and is none is passed over."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StateError(f"{path} can't be read: {error.strerror}.") from error
    return {line for line in lines if _CLAIM.fullmatch(line)}


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and on disk afterwards."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
