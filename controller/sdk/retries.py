"""One flow or task run from its first attempt to its end: retries, delays, timeouts. `flow` and `task` call it.

What is retried is an `Exception`; whoever is told to end (KeyboardInterrupt, a cancelled coroutine) ends. SystemExit
ends the flow that nobody else has called, as it ends a script. Of any other and of a task it is a failure.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import CANCELLED, SUCCEEDED, ExitedError, State, TimedOutError, failure, summary
from controller.sdk.timeouts import Deadline

Delay = float | Sequence[float] | Callable[[int], Sequence[float]]
Hook = Callable[[Any, LiveRun, State], Any]


class Policy(NamedTuple):
    """How often, after which delays in seconds, and for which errors a run is tried again.

    `delay` is one number, one for each retry (the last for all that follow), or a function that makes those of the
    number of retries. `jitter` 0.5 makes a delay up to half as long again. `condition(task, run, state)` may refuse.
    """

    retries: int = 0
    delay: Delay = 0
    jitter: float = 0
    condition: Callable[[Any, LiveRun, State], bool] | None = None
    timeout: float | None = None

    def delay_after(self, owner: Any, run: LiveRun, error: BaseException) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if not isinstance(error, Exception) or run.attempt > self.retries:
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
    """Call until it goes well or is given up; what it returns, or raises."""
    while True:
        token = current.set(run)
        run.begin()
        try:
            with Deadline(policy.timeout, run.label):
                value = call()
        except BaseException as raised:
            error = _meant(run, raised)
            delay = _after(owner, run, policy, error)
            if delay is None:
                if error is raised:
                    raise
                raise error from raised
        else:
            run.move(SUCCEEDED)
            return value
        finally:
            current.reset(token)
        time.sleep(delay)


async def perform_async(owner: Any, run: LiveRun, policy: Policy, call: Callable[[], Awaitable[Any]]) -> Any:
    """The same for a coroutine."""
    import asyncio

    while True:
        token = current.set(run)
        run.begin()
        is_late = False
        try:
            async with asyncio.timeout(policy.timeout) as limit:
                value = await call()
                end = limit.when()
                is_late = end is not None and asyncio.get_running_loop().time() >= end
            if is_late:  # it never let the loop end it
                raise TimeoutError
        except BaseException as error:
            error = _meant(run, error)
            if isinstance(error, TimeoutError) and (is_late or limit.expired()):
                error = TimedOutError(f"{run.label} ran longer than its timeout of {policy.timeout:g} s")
            delay = _after(owner, run, policy, error)
            if delay is None:
                raise error
        else:
            run.move(SUCCEEDED)
            return value
        finally:
            current.reset(token)
        await asyncio.sleep(delay)


def _meant(run: LiveRun, error: BaseException) -> BaseException:
    """The error itself, or what SystemExit is where the process is not there for this run alone."""
    if isinstance(error, SystemExit) and (run.kind == "task" or run.parent is not None):
        return ExitedError(f"{run.label} called sys.exit({error.code!r}); it ends by returning or raising")
    return error


def _after(owner: Any, run: LiveRun, policy: Policy, error: BaseException) -> float | None:
    delay = policy.delay_after(owner, run, error)
    if delay is None:
        run.move(_end(error))
    else:
        from controller.sdk.run_logger import log_retry

        run.move(State("retrying", summary(error)))
        log_retry(run, policy.retries, delay, summary(error))
    return delay


def _end(error: BaseException) -> State:
    if isinstance(error, SystemExit):
        return SUCCEEDED if error.code in (None, 0) else State("failed", f"exit code {error.code}")
    return failure(error) if isinstance(error, Exception) else CANCELLED._replace(message=summary(error))


def call_hooks(hooks: Sequence[Hook], owner: Any, run: LiveRun) -> None:
    """Call these with what became of a run. What they raise is logged, and changes nothing."""
    for hook in hooks:
        try:
            hook(owner, run, run.state)
        except Exception as error:  # noqa: BLE001 - the hook is the user's
            from controller.sdk.run_logger import log_hook

            log_hook(run, hook, error)
