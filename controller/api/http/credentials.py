"""Authenticates API clients by the token, and browsers by a session. Used by `security_middleware` and the login page.

The file `token` in the state directory holds the token; the controller compares hashes, and stores the hash in
`token.sha256`. Sessions are signed with a key derived from the token, so they survive a restart and end when the token
is replaced. The sessions of users who logged out are recorded, without their signatures, until they would have expired.

A standby signs the author of a request that it forwards with the same key: the leader believes it if both have the same
token.
"""

import base64
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
FORWARDED_LIFE = timedelta(minutes=1)
_MAX_CODES = 20
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,256}")
_CLAIM = re.compile(r"[0-9]{1,12}\.[A-Za-z0-9_-]{22}")
_FORWARDED = re.compile(r"(forwarded\.([0-9]{1,12})\.([A-Za-z0-9_-]+={0,2}))\.([0-9a-f]{64})")
_SESSION = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")


class Credentials:
    """The token, one-time codes and sessions. Thread-safe."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, datetime] = {}
        self._digest = _load(directory / "token", directory / "token.sha256")
        self._key = hashlib.sha256(b"session:" + self._digest.encode()).digest()
        self._ended_file = directory / "sessions.ended"
        self._ended = _read_ended(self._ended_file)

    def is_token(self, text: str) -> bool:
        """Return whether this is the token, in constant time."""
        return hmac.compare_digest(_hash(text), self._digest)

    def new_code(self) -> str:
        """Create a code that opens one session within ten minutes (`CODE_LIFE`)."""
        code = secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._lock:
            valid = {digest: end for digest, end in self._codes.items() if end > now}
            self._codes = dict(list(valid.items())[-(_MAX_CODES - 1) :])
            self._codes[_hash(code)] = now + CODE_LIFE
        return code

    def redeem(self, text: str) -> bool:
        """Return whether this is the token or an unused code; a code is used up by this call."""
        if self.is_token(text):
            return True
        with self._lock:
            end = self._codes.pop(_hash(text), None)
        return end is not None and end > self._clock.now()

    def new_session(self) -> str:
        """Return the cookie value of a new session."""
        end = int((self._clock.now() + SESSION_LIFE).timestamp())
        claim = f"{end}.{secrets.token_urlsafe(16)}"
        return f"{claim}.{self._sign(claim)}"

    def is_session(self, value: str) -> bool:
        """Return whether this cookie value is a valid session that has neither expired nor ended."""
        match = _SESSION.fullmatch(value)
        if match is None or not hmac.compare_digest(self._sign(f"{match[1]}.{match[2]}"), match[3]):
            return False
        return int(match[1]) > self._clock.now().timestamp() and f"{match[1]}.{match[2]}" not in self._ended

    def end_session(self, value: str) -> None:
        """Invalidate a session permanently, also across restarts.

        Raises StateError if it could not be recorded. Then the session is invalid until the controller restarts.
        """
        if not self.is_session(value):
            return
        now = self._clock.now().timestamp()
        with self._lock:
            claims = {*self._ended, value.rpartition(".")[0]}
            self._ended = {claim for claim in claims if int(claim.partition(".")[0]) > now}
            try:
                _write(self._ended_file, "\n".join(sorted(self._ended)))
            except OSError as error:
                fields = {"file": str(self._ended_file), "error": error.strerror}
                log.warning("A logout can't be recorded", extra=fields)
                raise StateError(
                    f"You are logged out, but this could not be recorded: {error.strerror}. "
                    "Your session becomes valid again when the controller restarts.",
                    hint="Make the state directory writable, then log in and out again.",
                ) from error

    def sign_author(self, author: str) -> str:
        """Return the proof, valid for a minute, that a controller with this token forwards a request of this author."""
        end = int((self._clock.now() + FORWARDED_LIFE).timestamp())
        name = base64.urlsafe_b64encode(author.encode("utf-8", "replace")).decode()
        claim = f"forwarded.{end}.{name}"
        return f"{claim}.{self._sign(claim)}"

    def forwarded_author(self, value: str) -> str | None:
        """Return the author whose request was forwarded, or None if this is not a valid proof."""
        match = _FORWARDED.fullmatch(value)
        if match is None or not hmac.compare_digest(self._sign(match[1]), match[4]):
            return None
        if int(match[2]) <= self._clock.now().timestamp():
            return None
        return base64.urlsafe_b64decode(match[3]).decode("utf-8", "replace")

    def _sign(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode(), hashlib.sha256).hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _load(token: Path, digest: Path) -> str:
    """Return the hash of the token: from the token file, else from the hash file, else of a new token.

    Raises StateError.
    """
    try:
        if token.exists():
            text = token.read_text(encoding="ascii", errors="replace").strip()
            if not _TOKEN.fullmatch(text):
                raise StateError(
                    f"{token} does not contain a valid token.",
                    hint="Write 43 or more characters of A-Z a-z 0-9 - _ to it, or delete it to get a new token.",
                )
            current = _hash(text)
        elif digest.exists():
            return digest.read_text(encoding="ascii").strip()
        else:
            text = secrets.token_urlsafe(32)
            current = _hash(text)
            _write(token, text)
        if not digest.exists() or digest.read_text(encoding="ascii").strip() != current:
            _write(digest, current)
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"Cannot use the token in {token.parent}: {error}.") from error
    return current


def _read_ended(path: Path) -> set[str]:
    """Read the sessions that were ended, ignoring invalid lines. Raises StateError."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StateError(f"Cannot read {path}: {error.strerror}.") from error
    return {line for line in lines if _CLAIM.fullmatch(line)}


def _write(path: Path, text: str) -> None:
    """Replace the file atomically and sync it to disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
