"""Compresses responses with gzip. Called by `controller.api.http.responses`: never for streams and downloads of logs.

Attacks that guess a secret from the size of a compressed response (BREACH) need a secret in a page and a request with
the victim's session. Neither exists: no page contains a token, session or code, and other sites cannot send the
`SameSite=Strict` session cookie.
"""

import gzip
import re

SMALLEST = 1000
"""Bytes from which on a response is compressed: a smaller one fits into one packet anyway."""
_GZIP = re.compile(r"(?:^|[\s,])gzip\s*(?:,|$|;(?!\s*q\s*=\s*0(?:\.0{0,3})?\s*(?:,|$)))", re.IGNORECASE)


def accepts_gzip(header: str) -> bool:
    """Return whether an `Accept-Encoding` header accepts gzip (RFC 9110, section 12.5.3)."""
    return _GZIP.search(header) is not None


def compress(body: bytes, level: int = 6) -> bytes:
    """Return the body compressed with gzip; equal bodies have equal results."""
    return gzip.compress(body, level, mtime=0)
