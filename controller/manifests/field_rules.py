"""What the schema can't say, or can't say well, about tags, labels, environment variables and secrets.

`build` calls `check_rules`. Parts with a problem already are left alone; nothing is read but the document.
"""

import json
import re
import unicodedata

from controller.manifests.command_checks import yaml_word
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import shorten
from controller.model.findings import Severity

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORBIDDEN = re.compile(r"PATH|PYTHONPATH|PYTHONHOME|LD_.*|GIT_.*|CONTROLLER_.*")

_SHOWN = 100

_SECRET_NAME = re.compile(
    r"(?i)(?:.*[_-])?(?:password|passwd|passphrase|secret|token|credentials?|(?:api|access|private|secret)[_-]?key)"
)
_SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|[sr]k_live_\w{16,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*|\w[\w+.-]*://[^/\s:@]*:[^/\s:@]+@\S*"
)
"""Beginnings that the makers of these keys chose for being recognised, and a password in a URL."""


_REFERENCE = re.compile(
    r"[A-Za-z]+(?:_[A-Za-z]+)*_[A-Za-z]+\d{0,2}"  # database_key, SALES_DB_PASSWORD
    r"|[a-z]+(?:[-.][a-z0-9]+)*[-.](?:secret|secrets|password|passwd|token|key|keys|credentials?|cert|ref|name|id)"
    r"|(?:secrets?|vault|env|ssm|keyring|keychain)[-.:/][\w./:#-]+"
    r"|(?:arn|projects|op|vault|ssm|awssm|gsm|sm|gcp|azure|aws|file|env|secret|sops|bws)(?::|/|://)[\w./:#@+=-]+"
    r"|[a-z][\w.-]*(?:/[a-z][\w.#-]*)+"  # team/service/password
    r"|%\([\w.]+\)s|%\w+%|\[\[.+\]\]",
    re.ASCII,
)
"""Names of variables and of secrets, paths in a vault, and places of a template."""


def check_rules(draft: ValidationContext) -> None:
    """Add what is wrong with tags, version, env and secrets."""
    for index, tag in enumerate(draft.get("tags") or ()):
        if has_control(tag):
            draft.add("ControlCharacter", "a tag can't contain control characters", ("tags", index))
    if has_control(draft.get("version") or ""):
        draft.add("ControlCharacter", "version can't contain control characters", ("version",))
    for key in ("env", "secrets"):
        variables = draft.value.get(key)
        for name, value in variables.items() if isinstance(variables, dict) else ():
            _check_variable(draft, (key, name), value)
    _check_secrets(draft)
    for key in ("env", "parameters"):
        said = draft.value.get(key)
        for name, value in said.items() if isinstance(said, dict) else ():
            if isinstance(value, str) and looks_secret(name, value) and not names_a_secret(value):
                message = f"{shorten(name)} looks like a secret, and everybody who reads the repository can read it"
                hint = "change it, and name where it comes from under secrets"
                draft.add("PlainSecret", message, (key, name), hint=hint, severity=Severity.WARNING)


def looks_secret(name: str, value: str) -> bool:
    """Whether a text under this name is one that nobody should see: by the name, or by what it looks like."""
    if _SECRET_VALUE.fullmatch(value):
        return True
    is_reference = value.startswith(("/", "$", "{", "<")) or len(value) < 4
    return len(name) <= 100 and not is_reference and _SECRET_NAME.fullmatch(name) is not None


def names_a_secret(value: str) -> bool:
    """Whether a text looks like the name of a secret, or like a reference to where it is kept, and not like one."""
    return _SECRET_VALUE.fullmatch(value) is None and _REFERENCE.fullmatch(value) is not None


def _check_secrets(draft: ValidationContext) -> None:
    env, secrets = draft.get("env") or {}, draft.get("secrets") or {}
    for name in secrets.keys() & env.keys():
        message = f"{shorten(name)} is set under env already"
        draft.add("ConflictingKeys", message, ("secrets", name), hint="remove one of them", at_key=True)
    for name, said in secrets.items():
        if has_control(said.get("file", "")):
            draft.add("ControlCharacter", "a path can't contain control characters", ("secrets", name, "file"))


def _check_variable(draft: ValidationContext, path: tuple[str, str], value: object) -> None:
    name = path[-1]
    if not _VARIABLE.fullmatch(name):
        message = f"{shorten(name)} is no name of an environment variable"
        hint = "letters, digits and underscores, not beginning with a digit"
        draft.add("InvalidVariable", message, path, hint=hint, at_key=True)
    elif _FORBIDDEN.fullmatch(name):
        message = f"{shorten(name)} decides which code runs, and is not taken from the repository"
        hint = _instead_of(draft, name, value)
        draft.add("ForbiddenEnvironment", message, path, hint=hint, at_key=True)
    elif isinstance(value, str) and "\0" in value:
        draft.add("ControlCharacter", "an environment variable can't contain the character U+0000", path)


def _instead_of(draft: ValidationContext, name: str, value: object) -> str:
    """What has the effect of a variable that is not taken."""
    if name.startswith("CONTROLLER_"):
        return "choose another name: the controller sets these variables itself"
    if name == "PATH":
        return "write the path of the program in command: [/opt/tools/bin/tool, …]"
    command = draft.value.get("command")
    if isinstance(command, list) and isinstance(value, str) and len(value) <= _SHOWN:
        words = [word for word in ("env", f"{name}={value}", *command[:_SHOWN]) if isinstance(word, str)]
        written = ", ".join(map(yaml_word, words))
        if len(words) == len(command) + 2 and len(written) <= 2 * _SHOWN:
            return f"write command: [{written}]"
    if name == "PYTHONPATH" and isinstance(value, str) and len(value) <= _SHOWN:
        folder = json.dumps(value.split(":")[0] or ".", ensure_ascii=False)
        return (
            "move the modules beside the flow or to the repository root: both can be imported; or begin the flow's "
            f"file with: import sys; sys.path.insert(0, {folder})"
        )
    return f"let a command set it: [env, {name}=…, program, argument]"


def has_control(text: str) -> bool:
    """Whether `text` has a character that moves the cursor, breaks the line or reorders what is shown."""
    if text.isascii() and text.isprintable():
        return False
    return any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") or c in _BIDI for c in text)


_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
