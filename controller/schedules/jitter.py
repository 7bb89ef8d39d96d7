"""Computes how long after its due time a run starts, so that not all runs start on the hour.

Called by `runs` for each run that it records. The due time stays the identity of the occurrence: it is what is
recorded, compared, caught up and displayed. Jitter only delays the start; fire times are never computed from it. It
must not be random: a deployment has the same offset on every machine, after every restart and in every version.
"""

import hashlib
from datetime import timedelta

_MILLISECOND = timedelta(milliseconds=1)


def jitter_offset(name: str, schedule_id: str, jitter: timedelta) -> timedelta:
    """Return the delay of every occurrence of the schedule after its due time.

    Args:
        name: the name of the deployment.
        schedule_id: the id of the schedule, so that two schedules of a deployment get different delays.
        jitter: the upper bound.

    Returns:
        Whole milliseconds, at least 0 and less than `jitter`; zero if `jitter` is not positive. A larger `jitter`
        scales the delays and keeps the order of the deployments.
    """
    count = -(-jitter // _MILLISECOND)
    if count <= 0:
        return timedelta()
    digest = hashlib.sha256(f"{name}\0{schedule_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") * count >> 64) * _MILLISECOND
