"""Tasks: called, submitted, mapped, retried, timed out, cached; in threads and on a loop."""

import asyncio
import re
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest

from controller import flow, get_run_context, tags, task, task_input_hash, unmapped
from controller.sdk.futures import Future
from controller.sdk.run_states import MissingContextError, TasksFailedError, TimedOutError, UpstreamFailedError
from controller.sdk.timeouts import AsyncTimeout
from tests.conftest import PATIENCE_SECONDS


@task
def double(x: int) -> int:
    return 2 * x


@task
def fail(x: Any = None) -> None:
    raise ValueError(f"no {x}")


@task
async def later(x: int) -> int:
    await asyncio.sleep(0)
    return x


def test_a_task_that_is_called_returns_its_value_or_raises() -> None:
    @flow
    def main() -> int:
        with pytest.raises(ValueError, match="no 5"):
            fail(5)
        return double(2) + double.fn(3)

    assert main() == 10
    assert double(4) == 8


def test_a_submitted_task_is_a_future() -> None:
    @flow
    def main() -> list[Any]:
        first = double.submit(1)
        second = double.submit(first)
        both = double.submit(second, wait_for=[first])
        assert both.wait()
        assert both.state.is_completed()
        return [first, {"second": second}, both.result()]

    assert main() == [2, {"second": 4}, 8]


def test_map_iterates_over_iterables_and_repeats_other_arguments() -> None:
    @task
    def add(x: int, y: int, more: list[int]) -> int:
        return x + y + sum(more)

    @flow
    def main() -> list[int]:
        return add.map(double.map(range(3)), [10, 20, 30], more=unmapped([100])).result()

    assert main() == [110, 122, 134]
    with pytest.raises(ValueError, match="different lengths"):
        flow(lambda: add.map([1], [1, 2], 3))()
    with pytest.raises(ValueError, match="needs at least one iterable argument"):
        flow(lambda: double.map(5))()


def test_a_task_whose_upstream_failed_is_not_run() -> None:
    @flow
    def main() -> tuple[str, str | None]:
        failed = fail.submit(1)
        after = double.submit(failed)
        last = double.submit(after)
        error: object = last.result(raise_on_failure=False)
        assert isinstance(error, UpstreamFailedError)
        assert isinstance(error.__cause__, UpstreamFailedError)
        assert isinstance(error.__cause__.__cause__, ValueError), "a traceback shows the cause"
        return last.state

    state = main()
    assert state[0] == "skipped"
    assert re.match(r"not run: upstream task double-\d+ was skipped$", str(state[1]))


def test_an_unobserved_failure_fails_the_flow() -> None:
    @flow
    def main() -> str:
        double.submit(fail.submit(7))
        double.submit(1)
        return "done"

    with pytest.raises(TasksFailedError, match=r"^2 of 3 tasks did not succeed: fail-\d+: ValueError: no 7$"):
        main()


def test_a_failing_flow_cancels_tasks_that_have_not_started() -> None:
    begun = threading.Event()
    end = threading.Event()
    futures: list[Future[Any]] = []

    @task
    def block() -> None:
        begun.set()
        end.wait()

    @flow(concurrency=1)
    def main() -> None:
        futures.extend([block.submit(), double.submit(1)])
        begun.wait()
        threading.Timer(0, end.set).start()
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        main()
    assert [future.state.name for future in futures] in (["succeeded", "cancelled"], ["succeeded", "succeeded"])


def test_concurrency_limits_tasks_also_if_tasks_submit_tasks() -> None:
    lock = threading.Lock()
    running: list[int] = []
    most = [0]

    @task
    def count() -> int:
        with lock:
            running.append(1)
            most[0] = max(most[0], len(running))
        with lock:
            running.pop()
        return 1

    @task
    def outer() -> int:
        return sum(count.submit().result() for _ in range(3))

    @flow(concurrency=2)
    def main() -> list[int]:
        return [outer.submit() for _ in range(5)]  # type: ignore[misc]

    assert main() == [3] * 5
    assert most[0] <= 2


def test_retries_have_delays_and_a_condition() -> None:
    attempts: list[int] = []
    delays: list[int] = []

    def make(retries: int) -> list[float]:
        delays.append(retries)
        return [0.0, 0.001]

    @task(retries=3, retry_delay_seconds=make, retry_jitter_factor=0.5)
    def flaky() -> int:
        attempts.append(get_run_context().attempt)
        if len(attempts) < 3:
            raise OSError("away")
        return len(attempts)

    assert flaky() == 3
    assert attempts == [1, 2, 3]
    assert delays == [3, 3]
    attempts.clear()
    strict = flaky.with_options(retry_condition_fn=lambda _task, _run, state: "away" not in str(state.message))
    with pytest.raises(OSError, match="away"):
        strict()
    assert attempts == [1]


def test_a_timeout_ends_the_main_thread_and_others() -> None:
    never = threading.Event()

    @task(timeout_seconds=0.05)
    def endless() -> None:
        while not never.wait(0.001):
            pass

    @flow
    def main() -> str:
        with pytest.raises(TimedOutError, match=r"ran longer than its timeout of 0.05 s"):
            endless()
        future = endless.submit()
        future.wait()
        return future.state.name

    assert main() == "timed_out"


PROFILED = """
import sys, threading, time
from controller.sdk.run_states import TimedOutError
from controller.sdk.timeouts import Deadline

def limited():
    try:
        with Deadline(0.05, "a"):
            BODY
    except TimedOutError:
        print("timed out")

thread = threading.Thread(target=limited)
thread.start()
thread.join()
sys.setprofile(lambda *_: None)
(lambda: None)()
"""


SWALLOWS = "exec('try:\\n while True: 1\\nexcept BaseException: 1')"


@pytest.mark.parametrize("body", ["while True: time.sleep(0.001)", "time.sleep(0.2)", SWALLOWS])
def test_code_can_be_profiled_after_a_timeout_in_a_thread(body: str) -> None:
    argv = [sys.executable, "-c", PROFILED.replace("BODY", body)]
    assert subprocess.run(argv, capture_output=True, timeout=PATIENCE_SECONDS, check=True).stdout == b"timed out\n"


def test_a_result_is_cached_for_equal_input_until_it_expires() -> None:
    calls: list[int] = []

    @task(cache_key_fn=task_input_hash)
    def once(x: int) -> int:
        calls.append(x)
        return x

    assert [once(1), once(1), once(2)] == [1, 1, 2]
    assert calls == [1, 2]
    expired = once.with_options(cache_key_fn=lambda *_: "key", cache_expiration=timedelta(0))
    assert [expired(1), expired(1)] == [1, 1]
    assert calls == [1, 2, 1, 1]


def test_async_tasks_run_on_the_loop_of_an_async_flow() -> None:
    @flow(concurrency=1)
    async def main(n: int) -> list[Any]:
        futures = [later.submit(index) for index in range(n)]
        doubled = double.submit(futures[2])
        with pytest.raises(ValueError, match="no 1"):
            await fail.submit(futures[1])
        with pytest.raises(RuntimeError, match="await it"):
            later.submit(1).result()
        return [await later(7), await doubled, futures]

    assert asyncio.run(main(3)) == [7, 4, [0, 1, 2]]


def test_a_blocking_wait_for_a_task_on_the_same_loop_raises() -> None:
    @flow
    async def main() -> int:
        first = later.submit(1)
        last = double.submit(double.submit(first))
        with pytest.raises(RuntimeError, match=r"^later-\d+ runs on this event loop: await it$"):
            first.wait()
        with pytest.raises(RuntimeError, match=r"^later-\d+ runs on this event loop: await double-\d+$"):
            last.result()
        return await last

    assert asyncio.run(main()) == 4


@pytest.mark.parametrize("threads", [1, 32])
def test_tasks_nested_too_deeply_fail_instead_of_blocking(threads: int) -> None:
    @task
    def down(n: int) -> int:
        result: int = down.submit(n - 1).result() if n else 0
        return 1 + result

    @flow(concurrency=threads)
    def main(n: int) -> int:
        return down.submit(n).result()

    assert main(50) == 51
    with pytest.raises(RecursionError, match="too many nested tasks are waiting"):
        main(600)


def test_an_async_task_of_a_plain_flow_runs_in_a_thread() -> None:
    @flow
    def main() -> list[Any]:
        return [later.submit(1), asyncio.run(later(2))]

    assert main() == [1, 2]


def test_an_async_task_that_takes_too_long_is_timed_out() -> None:
    @task(timeout_seconds=0.02)
    async def endless() -> None:
        await asyncio.Event().wait()

    @flow
    async def main() -> str:
        future = endless.submit()
        with pytest.raises(TimedOutError):
            await future
        return future.state.name

    assert asyncio.run(main()) == "timed_out"


def test_the_failure_hooks_of_a_task_are_called_if_it_fails_and_not_if_it_is_cancelled() -> None:
    states: list[str] = []

    @task(on_failure=[lambda _task, _run, state: states.append(state.name)])
    async def wait(*, fails: bool) -> None:
        if fails:
            raise ValueError
        await asyncio.Event().wait()

    @flow
    async def main(*, fails: bool) -> None:
        with pytest.raises(ValueError if fails else TimeoutError):
            await asyncio.wait_for(wait(fails=fails), None if fails else 0.05)

    asyncio.run(main(fails=False))
    assert states == []
    asyncio.run(main(fails=True))
    assert states == ["failed"]


def test_an_async_task_that_never_awaits_is_timed_out_once_it_is_done() -> None:
    @task(timeout_seconds=0.01)
    async def busy() -> int:
        end = asyncio.get_running_loop().time() + 0.02
        while asyncio.get_running_loop().time() < end:
            pass
        return 1

    @flow
    async def main() -> int:
        return await busy()

    with pytest.raises(TimedOutError, match=r"ran longer than its timeout of 0\.01 s"):
        asyncio.run(main())


def test_tags_are_those_of_the_task_and_of_the_enclosing_blocks() -> None:
    @task(tags=["own"])
    def mine() -> tuple[str, ...]:
        return get_run_context().tags

    with tags("a", "b"), tags("b", "c"):
        assert mine() == ("a", "b", "c", "own")
    assert mine() == ("own",)


def test_submitting_outside_of_a_flow_raises() -> None:
    with pytest.raises(MissingContextError, match="works only inside a flow"):
        double.submit(1)


def test_a_task_may_be_a_method() -> None:
    class Client:
        base = 10

        @task
        def get(self, x: int) -> int:
            return self.base + x

    assert Client().get(1) == 11


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="a task has no option 'retriez'"):
        task(retriez=1)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="timeout_seconds must be a number of seconds greater than 0"):
        task(timeout_seconds=-1)(print)


def test_labels_are_numbered_without_gaps_or_duplicates_in_threads() -> None:
    @task(name="labelled")
    def label() -> str:
        return get_run_context().name

    @flow(concurrency=8)
    def main() -> list[str]:
        return [label.submit() for _ in range(200)]  # type: ignore[misc]

    numbers = sorted(int(name.removeprefix("labelled-")) for name in main())
    assert numbers == list(range(1, 201))


def test_an_argument_without_futures_is_the_same_object() -> None:
    @task
    def extend(values: list[int]) -> None:
        values.append(1)

    @flow
    def main() -> list[int]:
        double.submit(1)
        values: list[int] = []
        extend(values)
        extend.submit(values).result()
        return values

    assert main() == [1, 1]


def test_a_collection_that_contains_itself_must_not_contain_futures() -> None:
    @task
    def length(items: list[Any]) -> int:
        return len(items)

    @flow
    def main() -> list[int]:
        round_: list[Any] = [1]
        round_.append(round_)
        lengths = [length.submit(round_).result(), length(round_)]
        round_.append(length.submit([]))
        future = length.submit(round_)
        with pytest.raises(ValueError, match="a collection that contains itself can't contain futures"):
            future.result()
        assert future.state.name == "failed"
        with pytest.raises(ValueError, match="a collection that contains itself can't contain futures"):
            length(round_)
        return lengths

    assert main() == [2, 2]


def test_the_timeout_for_old_versions_of_python_ends_what_is_late_and_nothing_else() -> None:
    async def wait(limit: float | None, seconds: float) -> bool:
        async with AsyncTimeout(limit) as timeout:
            await asyncio.sleep(seconds)
        return timeout.expired()

    with pytest.raises(TimeoutError):
        asyncio.run(wait(0.01, 60))
    assert asyncio.run(wait(60, 0)) is False
    assert asyncio.run(wait(None, 0)) is False
