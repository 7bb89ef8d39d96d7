"""Canonical JSON for digests: the same bytes for the same value, regardless of the order of its keys.

`build` and `schedule_fields` call it. Any change here changes every digest, so every deployment would look edited.
"""

import hashlib
import json
from typing import Any

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical_json(value: Any) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and no white space."""
    return _encode(value).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as `sha256:…`."""
    return "sha256:" + hashlib.sha256(canonical_json(value)).hexdigest()
