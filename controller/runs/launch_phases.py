"""How far the launch of an attempt is. Pure functions, used by `monitor`."""

import math

from controller.runs.executors.executor import Handle, Phase


def is_starting(handle: Handle) -> bool:
    """Whether it has not become ready yet."""
    return handle.phase is Phase.STARTING


def waits_for_node(handle: Handle) -> bool:
    """Whether it may become ready as late as it wants, such as when a node is free."""
    return is_starting(handle) and handle.ready_by == math.inf


def is_job_without_flow(handle: Handle) -> bool:
    """Whether it is a job on a cluster whose flow has no permission to start."""
    return handle.phase is not Phase.AWAITING_END and handle.ready_by == math.inf
