"""`raise Skip("reason")`: the flow or task has nothing to do, which is not a failure."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from controller import Skip, flow, task
from controller.sdk.futures import Future
from controller.sdk.run_states import TasksFailedError, UpstreamFailedError


@task
def load(day: int) -> int:
    if day == 0:
        raise Skip("no files")
    if day < 0:
        raise ValueError(f"no day {day}")
    return day


@task
def total(days: list[int]) -> int:
    return sum(days)


@pytest.mark.parametrize("error", [Skip, Skip(), Skip("no files"), ExceptionGroup("two", [Skip("a"), Skip("b")])])
def test_a_skipped_flow_is_neither_retried_nor_reported_to_hooks(error: Any) -> None:
    calls: list[str] = []

    def hook(*_: Any) -> None:
        calls.append("hook")

    @flow(retries=2, on_failure=[hook], on_completion=[hook])
    def main() -> None:
        calls.append("attempt")
        raise error

    with pytest.raises(Skip):
        main()
    assert calls == ["attempt"]


def test_an_async_flow_is_skipped_also_by_a_task_group() -> None:
    async def nothing() -> None:
        raise Skip("no files")

    @flow(retries=1)
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(nothing())
            group.create_task(nothing())

    with pytest.raises(Skip, match=r"^no files$"):
        asyncio.run(main())


def test_a_task_is_skipped_and_so_is_its_flow_unless_it_catches_the_skip(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def hook(*_: Any) -> bool:
        called.append("hook")
        return True

    @task(retries=3, retry_condition_fn=hook, on_failure=[hook])
    def nothing() -> None:
        raise Skip("line one\nline two")

    @flow
    def catches() -> str:
        try:
            nothing()
        except Skip as skip:
            return f"went on after {skip}"
        return "never"

    @flow
    def main() -> None:
        nothing()

    assert catches() == "went on after line one\nline two"
    caplog.clear()
    with caplog.at_level(logging.INFO, "controller.flow"), pytest.raises(Skip):
        main()
    assert called == []
    lines = [(record.levelname, record.message) for record in caplog.records]
    assert lines == [("INFO", "skipped: line one")] * 2


def test_tasks_that_depend_on_a_skipped_task_are_skipped_with_its_reason() -> None:
    futures: list[Future[Any]] = []

    @flow
    def main() -> str:
        first = load.submit(0)
        futures.extend([first, total.submit([first, load.submit(1)])])
        futures.append(total.submit([futures[1]]))
        return "the rest is done"

    assert main() == "the rest is done"
    assert [future.run.state for future in futures] == [("skipped", "no files")] * 3


@pytest.mark.parametrize(
    "use",
    [
        lambda future: future.result(),
        lambda future: total([future]),
        lambda future: total.submit([1], wait_for=[future]).result(),
        lambda future: future,
        lambda future: [load.submit(1), future],
        lambda future: flow(lambda x: x)(future),
    ],
)
def test_a_flow_that_needs_the_result_of_a_skipped_task_is_skipped(use: Callable[[Any], Any]) -> None:
    @flow
    def main() -> Any:
        return use(load.submit(0))

    with pytest.raises(Skip, match=r"^no files$"):
        main()


def test_an_async_flow_that_needs_the_result_of_a_skipped_task_is_skipped() -> None:
    @task
    async def nothing() -> int:
        raise Skip

    @task
    async def double(x: int) -> int:
        return 2 * x

    @flow
    async def main() -> int:
        return await double.submit(nothing.submit())

    with pytest.raises(Skip):
        asyncio.run(main())


@pytest.mark.parametrize("days", [(0, -1), (-1, 0)])
def test_a_skip_never_hides_a_failure(days: tuple[int, int]) -> None:
    @flow
    def returns() -> Any:
        return load.map(days)

    @flow
    def depends() -> Any:
        return total.submit(load.map(days))

    @flow
    def raises() -> None:
        load.map(days).wait()
        raise Skip("enough")

    with pytest.raises(ValueError, match=r"no day -1"):
        returns()
    with pytest.raises(UpstreamFailedError, match=r"upstream task load-\d+ failed"):
        depends()
    with pytest.raises(TasksFailedError, match=r"^1 of 2 tasks did not succeed: load-\d+: ValueError: no day -1$"):
        raises()


def test_a_skipped_flow_cancels_its_async_tasks() -> None:
    @task
    async def forever() -> None:
        await asyncio.Event().wait()

    @flow
    async def main() -> None:
        forever.submit()
        await asyncio.sleep(0)
        raise Skip("enough")

    with pytest.raises(Skip, match="enough"):
        asyncio.run(main())


def test_the_reason_is_one_printable_line_of_bounded_length() -> None:
    class Odd(Skip):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    states: list[Any] = []
    for error in (Skip("\n a\x1b[1mb\nc"), Skip("x" * 2000), Skip(""), Skip(404), Odd()):

        @flow
        def main(error: Exception = error) -> Any:
            @task
            def one() -> None:
                raise error

            future = one.submit()
            states.append(future.state if future.wait() else None)

        main()
    assert states == [
        ("skipped", r"a\x1b[1mb"),
        ("skipped", "x" * 1000),
        ("skipped", None),
        ("skipped", "404"),
        ("skipped", None),
    ]
