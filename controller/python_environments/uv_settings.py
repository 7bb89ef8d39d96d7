"""Parses the options of `controller run` that concern uv, and picks the environment variables that uv gets."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from controller.errors import UsageError
from controller.settings import UvSettings, flow_environment, secret_variables

_FOR_UV = ("PATH", "LANG", "LC_ALL", "TMPDIR", "NETRC", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
_NETWORK = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)
_NOT_FOR_UV = re.compile(
    r"UV_(PYTHON$|PYTHON_DOWNLOADS|PROJECT|WORKING_DIR|SYSTEM_PYTHON|BREAK_SYSTEM|MANAGED_PYTHON|NO_MANAGED|CACHE_DIR|NO_CACHE"
    r"|FROZEN|LOCKED|NO_SYNC|ISOLATED|REQUIRE_HASHES|NO_VERIFY|NO_BUILD|NO_BINARY|ONLY_BINARY|VENV|COMPILE|NO_CONFIG"
    r"|ENV_FILE|RUN|TOOL|PREVIEW|LOG|NO_PROGRESS|DEV|NO_DEV|NO_EDITABLE|GROUP|EXTRA$|INTERNAL)"
)


def parse_uv(
    program: str | None, *, allowed_interpreters: tuple[str, ...] = (), allows_source_builds: bool = False
) -> UvSettings:
    """Parse `--uv` and the options that belong to it, and read the environment variables for uv. Raises UsageError."""
    path = None if program is None else Path(program).absolute()
    if path is not None and not os.access(path, os.X_OK):
        raise UsageError(f"--uv {program}: there is no such program.")
    for glob in allowed_interpreters:
        if not glob.startswith("/"):
            raise UsageError(f"--allow-interpreter {glob}: expected an absolute path, or a glob that begins with /.")
    return UvSettings(
        program=path,
        allowed_interpreters=allowed_interpreters,
        allows_source_builds=allows_source_builds,
        variables=pick_variables(secret_variables()),
    )


def pick_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of uv: the operator's UV_* variables, proxies and certificates, and a few basic ones.

    It leaves out what the controller decides itself: the interpreter, the project, and what is locked or built.
    """
    picked = {
        name: value
        for name, value in variables.items()
        if (name.startswith("UV_") and not _NOT_FOR_UV.match(name)) or name.upper() in _NETWORK or name in _FOR_UV
    }
    return {"HOME": flow_environment()["HOME"], **picked}
