"""Common reasons why a file is not valid text: a Git LFS pointer, a merge conflict, encryption, a binary format.

Called by `module` for Python files and by `manifests` for manifests and scripts. It never raises.
"""

import re

from controller.records import dataclass

_LFS = b"version https://git-lfs.github.com/spec/"
_DECRYPT = "commit the file decrypted, and list its secrets under `secrets` instead"
_ENCRYPTED = (
    (b"\0GITCRYPT\0", "git-crypt", "unlock the repository with git-crypt, and commit the file without encryption"),
    (b"$ANSIBLE_VAULT;", "Ansible Vault", _DECRYPT),
    (b"age-encryption.org/", "age", _DECRYPT),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age", _DECRYPT),
    (b"-----BEGIN PGP MESSAGE-----", "PGP", _DECRYPT),
)
_BINARY = (
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF-", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x7fELF", "a Linux executable"),
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_CONFLICT = re.compile(
    rb"^<{7}(?: [^\r\n]*)?\r?$(?:.*?)^={7}\r?$(?:.*?)^>{7}(?: [^\r\n]*)?\r?$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The reason why a file is not valid text, the line that shows it (from 1), and a hint.

    `is_encoding`: the file may be the right text in an encoding other than UTF-8.
    """

    message: str
    line: int
    hint: str
    is_encoding: bool = False


def cause_of(content: bytes) -> Cause | None:
    """Return the reason why these bytes are not a manifest, Python file or script; None if no known reason applies."""
    if content.startswith(_LFS):
        hint = "commit the file itself: run `git lfs untrack` for it, then `git add --renormalize` and commit"
        return Cause(message="this is a Git LFS pointer, not the file", line=1, hint=hint)
    for beginning, program, hint in _ENCRYPTED:
        if content.startswith(beginning):
            return Cause(message=f"this file is encrypted with {program}", line=1, hint=hint)
    for beginning, file_type in _BINARY:
        if content.startswith(beginning):
            hint = "commit a text file, or rename this one"
            return Cause(message=f"this is {file_type}, not text", line=1, hint=hint)
    if content.startswith(_UTF_16) or _is_wide(content[:200]):
        return Cause(message="this file is UTF-16, not UTF-8", line=1, hint="save the file as UTF-8", is_encoding=True)
    match = _CONFLICT.search(content) if b"<<<<<<<" in content else None
    if match is None:
        return None
    line = content.count(b"\n", 0, match.start()) + 1
    message = f"an unresolved merge conflict begins at line {line}"
    hint = "resolve the conflict: keep one side, and remove the lines with <<<<<<<, ======= and >>>>>>>"
    return Cause(message=message, line=line, hint=hint)


def _is_wide(beginning: bytes) -> bool:
    """Return whether every second byte is NUL, as in UTF-16 text without a byte order mark."""
    return len(beginning) >= 4 and any(not any(beginning[start::2]) for start in (0, 1)) and any(beginning)
