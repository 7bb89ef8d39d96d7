"""How much later than its nominal time does an occurrence start, so that not everything starts on the hour?

Called by whoever starts runs. The nominal time stays the identity of an occurrence: it is what is recorded, compared,
caught up and shown. Jitter only delays the start, and no fire time is ever computed from it. It must use no randomness:
the same deployment has the same phase on every machine, after every restart and in every version.
"""

import hashlib
from datetime import timedelta

_MILLISECOND = timedelta(milliseconds=1)


def jitter_offset(name: str, schedule_id: str, jitter: timedelta) -> timedelta:
    """How long after its nominal time each occurrence of the schedule starts: the same for all of them.

    Args:
        name: the deployment's.
        schedule_id: the schedule's, so that two schedules of one deployment need not coincide.
        jitter: the upper bound.

    Returns:
        Whole milliseconds, at least 0 and less than `jitter`; nothing when `jitter` is not positive. A larger `jitter`
        stretches the phases and keeps the order of the deployments.
    """
    count = -(-jitter // _MILLISECOND)
    if count <= 0:
        return timedelta()
    digest = hashlib.sha256(f"{name}\0{schedule_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") * count >> 64) * _MILLISECOND
