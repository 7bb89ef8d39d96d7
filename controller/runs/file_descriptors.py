"""The limit of open files, and how flows, HTTP connections and the controller itself share it.

`app` raises the limit at startup. The engine asks for the capacity before it launches runs, and the HTTP server for the
number of connections. Connections have the smallest share and are refused first. Flows wait before the controller lacks
descriptors for its own files.
"""

import resource
from contextlib import suppress
from pathlib import Path

from controller.errors import ResourceError

FOR_OTHERS = 64
"""The maximum that the database, git, file watching and the sockets need."""
MARGIN = 12
"""How many descriptors stay free when flows are launched, to read files and to start git."""
FOR_A_LAUNCH = 3
"""Both ends of the socket and the pidfd of the supervisor. While a flow runs, only the pidfd remains open."""
MOST_CONNECTIONS = 256
LEAST_CONNECTIONS = 8


def soft_limit() -> int:
    """Return how many descriptors this process may have open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> int:
    """Raise the soft limit to the hard limit. Return the previous soft limit, which flows get."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return before


def launch_capacity() -> int:
    """Return how many attempts can be launched now. Raises ResourceError without free descriptors."""
    limit = soft_limit()
    try:
        capacity = (limit - len(list(Path("/proc/self/fd").iterdir())) - MARGIN) // FOR_A_LAUNCH
    except FileNotFoundError:
        return limit  # without /proc they can't be counted; failed launches are retried
    except OSError:
        capacity = 0
    if capacity <= 0:
        raise ResourceError(f"no file descriptors (limit {limit})")
    return capacity


def max_connections() -> int:
    """Return how many HTTP connections may be open at once."""
    return min(MOST_CONNECTIONS, max(LEAST_CONNECTIONS, (soft_limit() - FOR_OTHERS) // 4))
