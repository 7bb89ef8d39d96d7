"""The URL of a state database on a PostgreSQL server: `--state-url postgresql+psycopg://user@host/database`.

The text may contain a password, so only `store` gets it. Texts for people have the URL without it.
"""

from dataclasses import field, replace
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from controller.errors import UsageError
from controller.records import dataclass

DEFAULT_PROJECT = "default"
_SCHEMA_PREFIX = "controller_"
_LONGEST = 63 - len(_SCHEMA_PREFIX)
"""PostgreSQL cuts longer names of schemas off."""
_SCHEMES = ("postgresql", "postgresql+psycopg")
_EXAMPLE = "postgresql+psycopg://user@host:5432/database"
_PASSWORDS = "Put it in the variable CONTROLLER_STATE_URL or PGPASSWORD, or in the file ~/.pgpass (or PGPASSFILE)."
_KEYS = "Let the key of the client have no password, and be readable only for the user of the controller."


@dataclass(frozen=True, slots=True, kw_only=True)
class StateUrl:
    """The URL of a state database, and the project whose state it is.

    `public` is the URL without its password; `text` must not be shown. The states of several projects can be in one
    database, each with tables of its own in a schema of its own.
    """

    text: str = field(repr=False)
    public: str
    project: str = DEFAULT_PROJECT

    def __str__(self) -> str:
        return self.public if self.schema is None else f"{self.public} (project {self.project})"

    @property
    def schema(self) -> str | None:
        """The PostgreSQL schema of the project; None for the default project, whose schema is that of the session."""
        return None if self.project == DEFAULT_PROJECT else f"{_SCHEMA_PREFIX}{self.project.replace('-', '_')}"

    def of_project(self, name: str | None) -> "StateUrl":
        """Return the URL for the state of this project, None for the default project. Raises UsageError."""
        project = name or DEFAULT_PROJECT
        if len(project) > _LONGEST:
            raise UsageError(
                f"--project {project}: the name is too long for a project in a database.",
                hint=f"Use at most {_LONGEST} characters.",
            )
        return replace(self, project=project)


def project_of_schema(schema: str) -> str:
    """Return the project whose state is in this PostgreSQL schema."""
    has_prefix = schema.startswith(_SCHEMA_PREFIX)
    return schema.removeprefix(_SCHEMA_PREFIX).replace("_", "-") if has_prefix else DEFAULT_PROJECT


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
    if "sslpassword" in names:
        raise UsageError("--state-url: the query must not contain a password.", hint=_KEYS)
    host = parts.netloc.rpartition("@")[2]
    user = "" if parts.username is None else f"{parts.username}@"
    public = urlunsplit((parts.scheme, f"{user}{host}", parts.path, parts.query, ""))
    return StateUrl(text=text, public=public)
