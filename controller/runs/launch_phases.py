"""How far the launch of an attempt has got. Pure functions, used by `monitor`."""

import math

from controller.runs.executors.executor import Handle, Phase


def is_starting(handle: Handle) -> bool:
    """Return whether the attempt is not ready yet."""
    return handle.phase is Phase.STARTING


def waits_for_node(handle: Handle) -> bool:
    """Return whether the attempt may take any time to become ready, because it waits for a free node."""
    return is_starting(handle) and handle.ready_by == math.inf


def is_job_without_flow(handle: Handle) -> bool:
    """Return whether the attempt is a job on a cluster whose flow has not been allowed to start."""
    return handle.phase is not Phase.AWAITING_END and handle.ready_by == math.inf
