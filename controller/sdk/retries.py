"""One flow or task run from its first attempt to its end: retries, delays and timeouts. Called by `flow` and `task`.

Only an `Exception` is retried, except Skip: KeyboardInterrupt and the cancellation of a coroutine end the run at once.
SystemExit ends the outermost flow as it ends a script; in a subflow or a task it is a failure.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import (
    CANCELLED,
    SUCCEEDED,
    ExitedError,
    Skip,
    State,
    TimedOutError,
    failure,
    find_skip,
    is_group,
    summary,
)
from controller.sdk.timeouts import AsyncTimeout, Deadline

Delay = float | Sequence[float] | Callable[[int], Sequence[float]]
Hook = Callable[[Any, LiveRun, State], Any]


class Policy(NamedTuple):
    """When to retry a flow or task run, and the timeout of each attempt in seconds.

    `delay` is in seconds: one number, a list with one number per retry (the last one applies to all further retries),
    or a function of the number of retries that returns such a list. `jitter` lengthens each delay by a random fraction:
    0.5 adds up to 50 %. If `condition(task, run, state)` returns False, the run is not retried.
    """

    retries: int = 0
    delay: Delay = 0
    jitter: float = 0
    condition: Callable[[Any, LiveRun, State], bool] | None = None
    timeout: float | None = None

    def delay_after(self, owner: Any, run: LiveRun, error: BaseException) -> float | None:
        """Return the seconds until the next attempt, or None if the run is not retried."""
        if not isinstance(error, Exception) or isinstance(error, Skip) or run.attempt > self.retries:
            return None
        if self.condition is not None and not self.condition(owner, run, failure(error)):
            return None
        delay = self.delay(self.retries) if callable(self.delay) else self.delay
        if isinstance(delay, Sequence):
            delay = delay[min(run.attempt, len(delay)) - 1] if delay else 0
        if self.jitter:
            import random

            delay *= 1 + random.random() * self.jitter
        return float(delay)


def perform(owner: Any, run: LiveRun, policy: Policy, call: Callable[[], Any]) -> Any:
    """Call the function until it succeeds or the policy allows no more retries.

    Return its value, or raise the error of the last attempt: TimedOutError if it exceeded the timeout.
    """
    while True:
        token = current.set(run)
        run.start_attempt()
        try:
            with Deadline(policy.timeout, run.label):
                value = call()
        except BaseException as raised:
            error = _translate(run, raised)
            delay = _record_failure(owner, run, policy, error)
            if delay is None:
                if error is raised:
                    raise
                raise error from raised
        else:
            run.set_state(SUCCEEDED)
            return value
        finally:
            current.reset(token)
        time.sleep(delay)


async def perform_async(owner: Any, run: LiveRun, policy: Policy, call: Callable[[], Awaitable[Any]]) -> Any:
    """Do the same as `perform` for a coroutine function."""
    import asyncio

    make_timeout = getattr(asyncio, "timeout", AsyncTimeout)
    while True:
        token = current.set(run)
        run.start_attempt()
        is_late = False
        try:
            async with make_timeout(policy.timeout) as limit:
                value = await call()
                end = limit.when()
                is_late = end is not None and asyncio.get_running_loop().time() >= end
            if is_late:  # it never yielded to the event loop, so `timeout` could not cancel it
                raise TimeoutError
        except BaseException as error:
            error = _translate(run, error)
            if isinstance(error, TimeoutError) and (is_late or limit.expired()):
                error = TimedOutError(f"{run.label} ran longer than its timeout of {policy.timeout:g} s")
            delay = _record_failure(owner, run, policy, error)
            if delay is None:
                raise error
        else:
            run.set_state(SUCCEEDED)
            return value
        finally:
            current.reset(token)
        await asyncio.sleep(delay)


def _translate(run: LiveRun, error: BaseException) -> BaseException:
    """Return ExitedError for a SystemExit in a task or a subflow, and Skip for a group of Skips; else the error itself.

    A SystemExit there must not end the process, which runs the whole flow.
    """
    if is_group(error):
        return find_skip(error) or error
    if isinstance(error, SystemExit) and (run.kind == "task" or run.parent is not None):
        return ExitedError(f"{run.label} called sys.exit({error.code!r}); return or raise an error instead")
    return error


def _record_failure(owner: Any, run: LiveRun, policy: Policy, error: BaseException) -> float | None:
    """Set the state after a failed attempt. Return the seconds until the next attempt, or None if there is none."""
    delay = policy.delay_after(owner, run, error)
    if delay is None:
        run.set_state(_final_state(error))
    else:
        from controller.sdk.run_logger import log_retry

        run.set_state(State("retrying", summary(error)))
        log_retry(run, policy.retries, delay, summary(error))
    return delay


def _final_state(error: BaseException) -> State:
    if isinstance(error, SystemExit):
        return SUCCEEDED if error.code in (None, 0) else State("failed", f"exit code {error.code}")
    return failure(error) if isinstance(error, Exception) else CANCELLED._replace(message=summary(error))


def call_hooks(hooks: Sequence[Hook], owner: Any, run: LiveRun) -> None:
    """Call the hooks with the run and its final state. Their errors are logged and do not change the outcome."""
    for hook in hooks:
        try:
            hook(owner, run, run.state)
        except Exception as error:  # noqa: BLE001 - the hook is the user's
            from controller.sdk.run_logger import log_hook

            log_hook(run, hook, error)
