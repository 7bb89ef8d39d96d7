"""Checks tags, labels, variables, secrets and references in parameters: rules that the schema can't express well.

`build` calls `check_rules`. Parts that already have a problem are skipped, and only the document itself is read.
"""

import re
import unicodedata
from functools import lru_cache

from controller.manifests.parameter_references import find_errors
from controller.manifests.validation_context import ValidationContext
from controller.model.findings import Severity
from controller.schedules.messages import quote
from controller.text import shorten

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORBIDDEN = re.compile(r"PATH|PYTHONPATH|PYTHONHOME|LD_.*|GIT_.*|CONTROLLER_.*")

_MAX_VALUE = _MAX_NAME = 100

_SECRET_NAME = re.compile(
    r"(?i)(?:.*[_-])?(?:password|passwd|passphrase|secret|token|credentials?|(?:api|access|private|secret)[_-]?key)"
)
_SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|[sr]k_live_\w{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*|\w[\w+.-]*://[^/\s:@]*:[^/\s:@]+@\S*"
)
"""Prefixes by which the issuers of tokens make them recognizable, private keys, and URLs with a password."""

_SHORTEST_SECRET = 4
"""A shorter value is not taken for a secret. It can't match `_SECRET_VALUE` either."""
_REFERENCE = re.compile(
    r"[A-Za-z]+(?:_[A-Za-z]+)*_[A-Za-z]+\d{0,2}"  # database_key, SALES_DB_PASSWORD
    r"|[a-z]+(?:[-.][a-z0-9]+)*[-.](?:secret|secrets|password|passwd|token|key|keys|credentials?|cert|ref|name|id)"
    r"|(?:secrets?|vault|env|ssm|keyring|keychain)[-.:/][\w./:#-]+"
    r"|(?:arn|projects|op|vault|ssm|awssm|gsm|sm|gcp|azure|aws|file|env|secret|sops|bws)(?::|/|://)[\w./:#@+=-]+"
    r"|[a-z][\w.-]*(?:/[a-z][\w.#-]*)+"  # team/service/password
    r"|%\([\w.]+\)s|%\w+%|\[\[.+\]\]",
    re.ASCII,
)
"""References instead of values: names of variables or secrets, paths in a vault, and template placeholders."""


def check_rules(context: ValidationContext) -> None:
    """Add the problems of tags, version, env, secrets and parameter references."""
    tags = context.get("tags") or ()
    for index, tag in enumerate(tags if has_control("".join(tags)) else ()):
        if has_control(tag):
            context.add("ControlCharacter", "a tag can't contain control characters", ("tags", index))
    if has_control(context.get("version") or ""):
        context.add("ControlCharacter", "version can't contain control characters", ("version",))
    for key in ("env", "secrets"):
        variables = context.value.get(key)
        for name, value in variables.items() if isinstance(variables, dict) else ():
            _check_variable(context, (key, name), value)
    _check_secrets(context)
    _check_references(context)
    for key in ("env", "parameters"):
        mapping = context.value.get(key)
        for name, value in mapping.items() if isinstance(mapping, dict) else ():
            if isinstance(value, str) and looks_secret(name, value) and not names_a_secret(value):
                message = f"{shorten(name)} looks like a secret, and anyone with access to the repository can read it"
                hint = "change the secret, and declare under secrets where it comes from"
                context.add("PlainSecret", message, (key, name), hint=hint, severity=Severity.WARNING)


def _check_references(context: ValidationContext) -> None:
    """Add the errors of the references to the due time in the parameters of the deployment and of its schedules."""
    for place, parameters in context.referring:
        for error in find_errors(parameters):
            path = (*place, "parameters", *error.path)
            context.add("InvalidReference", error.message, path, hint=error.hint, at_key=error.at_key)


def looks_secret(name: str, value: str) -> bool:
    """Return whether a string is probably a secret, by its name or by its form."""
    if len(value) < _SHORTEST_SECRET:
        return False
    if _SECRET_VALUE.fullmatch(value):
        return True
    return len(name) <= _MAX_NAME and not value.startswith(("/", "$", "{", "<")) and _is_secret_name(name)


@lru_cache(maxsize=1024)  # deployments share most names of their parameters and variables
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None


def names_a_secret(value: str) -> bool:
    """Return whether a string looks like the name of a secret or a reference to one, rather than a secret itself."""
    return _SECRET_VALUE.fullmatch(value) is None and _REFERENCE.fullmatch(value) is not None


def _check_secrets(context: ValidationContext) -> None:
    secrets = context.get("secrets")
    if not secrets:
        return
    env = context.get("env") or {}
    for name in secrets.keys() & env.keys():
        message = f"{shorten(name)} is already set under env"
        context.add("ConflictingKeys", message, ("secrets", name), hint="remove one of them", at_key=True)
    for name, secret in secrets.items():
        if has_control(secret.get("file", "")):
            context.add("ControlCharacter", "a path can't contain control characters", ("secrets", name, "file"))


def _check_variable(context: ValidationContext, path: tuple[str, str], value: object) -> None:
    name = path[-1]
    if len(name) <= _MAX_NAME and _is_variable(name) and not (isinstance(value, str) and "\0" in value):
        return
    if not _VARIABLE.fullmatch(name):
        message = f"{quote(name)} is not a valid environment variable name"
        hint = "use letters, digits and underscores, starting with a letter or underscore"
        context.add("InvalidVariable", message, path, hint=hint, at_key=True)
    elif _FORBIDDEN.fullmatch(name):
        effect = "is reserved for the controller" if name.startswith("CONTROLLER_") else "controls which code runs"
        message = f"{shorten(name)} {effect}, and can't be set from the repository"
        hint = _forbidden_hint(context, name, value)
        context.add("ForbiddenEnvironment", message, path, hint=hint, at_key=True)
    elif isinstance(value, str) and "\0" in value:
        context.add("ControlCharacter", "an environment variable can't contain the character U+0000", path)


@lru_cache(maxsize=1024)  # deployments share most names of their variables
def _is_variable(name: str) -> bool:
    """Return whether a deployment may set this environment variable."""
    return _VARIABLE.fullmatch(name) is not None and _FORBIDDEN.fullmatch(name) is None


def _forbidden_hint(context: ValidationContext, name: str, value: object) -> str:
    """Return the hint for a forbidden variable: another way to get the same effect."""
    from controller.manifests.command_checks import yaml_word  # most documents have no command and no such problem

    if name.startswith("CONTROLLER_"):
        return "choose another name: the controller sets the CONTROLLER_ variables itself"
    if name == "PATH":
        return "write the full path of the program in command: [/opt/tools/bin/tool, …]"
    if name == "PYTHONPATH" and isinstance(value, str) and len(value) <= _MAX_VALUE:
        folders = [folder for folder in value.split(":") if folder and not folder.startswith("/")]
        return f"write import_paths: [{', '.join(map(yaml_word, folders)) or 'src'}]"
    command = context.value.get("command")
    if isinstance(command, list) and isinstance(value, str) and len(value) <= _MAX_VALUE:
        words = [word for word in ("env", f"{name}={value}", *command[:_MAX_VALUE]) if isinstance(word, str)]
        written = ", ".join(map(yaml_word, words))
        if len(words) == len(command) + 2 and len(written) <= 2 * _MAX_VALUE:
            return f"write command: [{written}]"
    return f"set it in a command: [env, {name}=…, program, argument]"


def has_control(text: str) -> bool:
    """Return whether `text` has a control character: one that moves the cursor, breaks the line or reorders text."""
    if text.isascii() and text.isprintable():
        return False
    return any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") or c in _BIDI for c in text)


_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
