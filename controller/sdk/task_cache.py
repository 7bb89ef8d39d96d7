"""Results of tasks that are kept for later calls with the same key, within this process. `task` asks.

Nothing is kept across runs: that would need a place for results that outlives them, which there is not.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import timedelta

CacheKey = Callable[[Any, Mapping[str, Any]], str | None]

_lock = threading.Lock()
_kept: dict[str, tuple[float | None, Any]] = {}


def find(key: str) -> tuple[bool, Any]:
    """Whether there is a result for this key that has not expired, and the result."""
    with _lock:
        found = _kept.get(key)
        if found is None or (found[0] is not None and found[0] <= time.monotonic()):
            return False, None
        return True, found[1]


def keep(key: str, value: Any, expiration: "timedelta | None") -> None:
    """Keep a result, for so long or as long as the process lives."""
    until = None if expiration is None else time.monotonic() + expiration.total_seconds()
    with _lock:
        _kept[key] = (until, value)


def task_input_hash(context: Any, parameters: Mapping[str, Any]) -> str | None:
    """A `cache_key_fn`: the same task with equal parameters; None, which is no key, for what can't be hashed."""
    import hashlib
    import pickle

    try:
        content = pickle.dumps((context.owner.key, sorted(parameters.items())))
    except Exception:  # noqa: BLE001 - the values are the user's
        return None
    return hashlib.sha256(content).hexdigest()
