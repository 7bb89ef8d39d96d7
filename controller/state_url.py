"""The URL of a state database on a PostgreSQL server: `--state-url postgresql+psycopg://user@host/database`.

The text may contain a password, so only `store` gets it. Texts for people have the URL without it.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from controller.errors import UsageError

_SCHEMES = ("postgresql", "postgresql+psycopg")
_EXAMPLE = "postgresql+psycopg://user@host:5432/database"
_PASSWORDS = "Put it in the variable CONTROLLER_STATE_URL or PGPASSWORD, or in the file ~/.pgpass (or PGPASSFILE)."


@dataclass(frozen=True, slots=True, kw_only=True)
class StateUrl:
    """The URL of a state database. `public` is the URL without its password; `text` must not be shown."""

    text: str = field(repr=False)
    public: str

    def __str__(self) -> str:
        return self.public


def parse_state_url(text: str | None, *, is_argument: bool = False) -> StateUrl | None:
    """Parse `--state-url`; None or an empty text is None. Raises UsageError, without repeating what may be secret.

    `is_argument` is set for a URL from the command line, which every user of the machine can read: it must not contain
    a password.
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        has_port, parts = False, urlsplit("")
    if not has_port or parts.scheme not in _SCHEMES or not text.isprintable() or parts.fragment:
        raise UsageError("--state-url: this is not the URL of a PostgreSQL database.", hint=f"Use {_EXAMPLE}.")
    if not parts.path.strip("/"):
        raise UsageError("--state-url: the name of the database is missing.", hint=f"Use {_EXAMPLE}.")
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    has_password = parts.password is not None or "password" in names
    if has_password and is_argument:
        raise UsageError(
            "--state-url: a password on the command line can be read by every user of the machine.", hint=_PASSWORDS
        )
    if "password" in names:
        raise UsageError("--state-url: the query must not contain a password.", hint=_PASSWORDS)
    host = parts.netloc.rpartition("@")[2]
    user = "" if parts.username is None else f"{parts.username}@"
    public = urlunsplit((parts.scheme, f"{user}{host}", parts.path, parts.query, ""))
    return StateUrl(text=text, public=public)
