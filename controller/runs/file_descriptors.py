"""How many files this process may have open, and who may have how many of them: flows, connections, all else.

`app` raises the limit at start. The engine asks before it launches; the HTTP server takes its share from here, which is
the smallest one: connections are refused first, and a flow waits rather than keep the controller from its own files.
"""

import resource
from contextlib import suppress
from pathlib import Path

FOR_OTHERS = 64
"""What the database, git, watching and the sockets need at most."""
MARGIN = 12
"""How many stay free when flows are launched: to read, and to start git."""
FOR_A_LAUNCH = 3
"""Both ends of its socket and the handle of its supervisor. While a flow runs only the handle is left."""
MOST_CONNECTIONS = 256
LEAST_CONNECTIONS = 8


def limit() -> int:
    """How many descriptors this process may have open now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> int:
    """Raise the soft limit to the hard one; returns the soft limit as it was, which flows are given."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return before


def room_for_launches() -> int:
    """How many supervisors can be started now."""
    try:
        in_use = len(list(Path("/proc/self/fd").iterdir()))
    except FileNotFoundError:
        return limit()  # without /proc nobody counts; what fails then is tried again
    except OSError:
        return 0
    return max(0, (limit() - in_use - MARGIN) // FOR_A_LAUNCH)


def connections() -> int:
    """How many HTTP connections may be open at once."""
    return min(MOST_CONNECTIONS, max(LEAST_CONNECTIONS, (limit() - FOR_OTHERS) // 4))
