"""The cache of task results for later calls with the same key, within this process. Called by `task`.

Results are not kept across runs: that would require a result store, which the controller does not have.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import timedelta

CacheKey = Callable[[Any, Mapping[str, Any]], str | None]

_lock = threading.Lock()
_results: dict[str, tuple[float | None, Any]] = {}


def find(key: str) -> tuple[bool, Any]:
    """Return whether the cache has a result for this key that has not expired, and the result."""
    with _lock:
        entry = _results.get(key)
        if entry is None or (entry[0] is not None and entry[0] <= time.monotonic()):
            return False, None
        return True, entry[1]


def keep(key: str, value: Any, expiration: "timedelta | None") -> None:
    """Add a result to the cache, until it expires or, without `expiration`, until the process exits."""
    until = None if expiration is None else time.monotonic() + expiration.total_seconds()
    with _lock:
        _results[key] = (until, value)


def task_input_hash(context: Any, parameters: Mapping[str, Any]) -> str | None:
    """Return a cache key for a task and its parameters; use it as `@task(cache_key_fn=task_input_hash)`.

    Calls of the same task with equal parameters have the same key. The key is None, and the call is not cached, if the
    parameters cannot be pickled.
    """
    import hashlib
    import pickle

    try:
        content = pickle.dumps((context.owner.key, sorted(parameters.items())))
    except Exception:  # noqa: BLE001 - the values are the user's
        return None
    return hashlib.sha256(content).hexdigest()
