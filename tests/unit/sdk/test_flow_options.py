"""Options of flows and tasks that can't be meant are refused where they are written, in words that say what can be."""

import asyncio
import datetime
import functools
from typing import Any

import pytest

from controller import ConcurrencyLimit, DeploymentSpec, flow, task
from controller.sdk import deployment_specs

NO_TYPES: list[tuple[str, Any, str]] = [
    ("name", 5, "a text, not 5"),
    ("description", b"x", "a text, not a bytes"),
    ("retries", 1.9, "a whole number from 0 on, not 1.9"),
    ("retries", "2", "a whole number from 0 on, not '2'"),
    ("retries", True, "a whole number from 0 on, not True"),
    (
        "retry_delay_seconds",
        "1",
        "a number of seconds from 0 on, a list of one for each retry, or a function .* not '1'",
    ),
    ("retry_delay_seconds", [1, None], r"a number of seconds from 0 on, .* not \[1, None\]"),
    ("timeout_seconds", "5", "a number of seconds above 0, not '5'"),
    ("timeout_seconds", True, "a number of seconds above 0, not True"),
    ("log_prints", 1, "True or False, not 1"),
    ("on_failure", print, r"a list of functions, like \[notify\], not the function print"),
    ("on_failure", [5], r"a list of functions, like \[notify\], not \[5\]"),
]
NO_VALUES: list[tuple[str, Any, str]] = [
    ("retries", -1, "a whole number from 0 on, not -1"),
    ("retry_delay_seconds", -1, "a number of seconds from 0 on, .* not -1"),
    ("retry_delay_seconds", [1, -1], r"a number of seconds from 0 on, .* not \[1, -1\]"),
    ("retry_delay_seconds", [], r"a number of seconds from 0 on, .* not \[\]"),
    ("retry_delay_seconds", float("nan"), "a number of seconds from 0 on, .* not nan"),
    ("timeout_seconds", 0, "a number of seconds above 0, not 0"),
    ("timeout_seconds", float("inf"), "a number of seconds above 0, not inf"),
]
OF_FLOWS: list[tuple[str, Any, str]] = [
    ("concurrency", True, "a whole number from 1 on or a ConcurrencyLimit, not True"),
    ("concurrency", "8", "a whole number from 1 on or a ConcurrencyLimit, not '8'"),
    ("flow_run_name", lambda: "x", r"a text with parameters in braces, .* not the function <lambda>"),
    ("validate_parameters", "no", "True or False, not 'no'"),
    ("version", 1.0, "a text, not 1.0"),
    ("on_completion", print, r"a list of functions, like \[notify\], not the function print"),
]
OF_TASKS: list[tuple[str, Any, str]] = [
    ("tags", "daily", r"a list of texts, .* not 'daily'"),
    ("retry_jitter_factor", "1", "a number from 0 on, not '1'"),
    ("retry_condition_fn", 5, "a function, not 5"),
    ("cache_key_fn", "x", "a function, not 'x'"),
    ("cache_expiration", 60, "a timedelta, not 60"),
]


def refused(kind: Any, option: str, value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^{option} is {words}"):
        kind(**{option: value})
    with pytest.raises(error, match=f"^{option} is {words}"):
        kind(lambda: 1).with_options(**{option: value})


@pytest.mark.parametrize(("option", "value", "words"), NO_TYPES)
def test_a_type_that_an_option_does_not_take_is_a_type_error(option: str, value: Any, words: str) -> None:
    refused(flow, option, value, TypeError, words)
    refused(task, option, value, TypeError, words)


@pytest.mark.parametrize(("option", "value", "words"), NO_VALUES)
def test_a_value_that_an_option_does_not_take_is_a_value_error(option: str, value: Any, words: str) -> None:
    refused(flow, option, value, ValueError, words)
    refused(task, option, value, ValueError, words)


@pytest.mark.parametrize(("option", "value", "words"), OF_FLOWS)
def test_options_of_flows_alone(option: str, value: Any, words: str) -> None:
    refused(flow, option, value, TypeError, words)


@pytest.mark.parametrize(("option", "value", "words"), OF_TASKS)
def test_options_of_tasks_alone(option: str, value: Any, words: str) -> None:
    refused(task, option, value, TypeError, words)


def test_what_options_take_is_taken() -> None:
    day = datetime.timedelta(days=1)
    step = task(retries=2, retry_delay_seconds=[0, 1.5], retry_jitter_factor=0, tags={"a"}, cache_expiration=day)(len)
    assert task(tags=(word for word in ["a", "b"]))(len).with_options(name="x").tags == ("a", "b")
    assert step.with_options(retries=None, retry_delay_seconds=lambda n: [0] * n).retries == 0
    main = flow(concurrency=ConcurrencyLimit(2), retry_delay_seconds=0, on_failure=(print,), flow_run_name="{x}")
    assert main(lambda: 5)() == 5


@pytest.mark.parametrize(("limit", "error"), [(True, TypeError), ("8", TypeError), (1.5, TypeError), (0, ValueError)])
def test_a_limit_is_a_whole_number(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^a concurrency limit is a whole number from 1 on, not "):
        ConcurrencyLimit(limit)


def test_what_is_no_function_can_not_be_decorated() -> None:
    with pytest.raises(TypeError, match=r"^@flow is for a function, not for 'nightly': write @flow or @flow\(name=…\)"):
        flow("nightly")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^@task is for a function, not for 5"):
        task()(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^write @classmethod above @flow, not below it"):
        flow(classmethod(lambda cls: cls))  # type: ignore[call-overload]


@pytest.mark.parametrize("wrong", [5, "x", {"a": 1}, True])
def test_what_can_not_be_waited_for_is_refused(wrong: Any) -> None:
    @task
    def step(x: int = 0) -> int:
        return x

    @task
    async def later(x: int = 0) -> int:
        return x

    @flow
    def main() -> None:
        calls: list[Any] = [step, later, step.submit, later.submit, functools.partial(step.map, [1])]
        for call in calls:
            with pytest.raises(TypeError, match=r"^wait_for is a future or a list of futures, not "):
                call(wait_for=wrong)

    main()


def test_futures_are_waited_for_in_any_collection_and_also_alone() -> None:
    done: list[int] = []

    @task
    def step(x: int) -> int:
        done.append(x)
        return len(done)

    @flow
    def main() -> list[int]:
        first = step.submit(1)
        alone = step.submit(2, wait_for=first)
        made = step.submit(3, wait_for=(future for future in [alone]))
        return [made.result(), step(4, wait_for=[5, None])]  # type: ignore[call-arg]

    assert main() == [3, 4]


def test_a_flow_may_be_a_method() -> None:
    class Jobs:
        base = 10

        @flow(name="load")
        def load(self, x: int) -> int:
            return self.base + x

        @flow
        async def later(self, x: int) -> int:
            return self.load(x)

        @classmethod
        @flow
        def of_class(cls, x: int) -> int:
            return cls.base + x

        @staticmethod
        @flow
        def alone(x: int) -> int:
            return x

        whole = flow(functools.partial(int, "7"))

    jobs = Jobs()
    assert jobs.load("1") == 11
    assert Jobs.load(jobs, 2) == 12
    assert jobs.load.name == Jobs.load.name == "load"
    assert asyncio.run(jobs.later(3)) == 13
    assert (jobs.of_class(4), jobs.alone(5), jobs.whole()) == (14, 5, 7)


def test_a_spec_whose_flow_nobody_could_find_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_specs, "registered", [])
    with pytest.raises(TypeError, match=r"^flow: a lambda has no name to be found by: define it with def at the top"):
        DeploymentSpec(name="x", flow=lambda: None)
    with pytest.raises(TypeError, match=r"^flow: expected a flow or a function, not 5"):
        DeploymentSpec(name="x", flow=5)
