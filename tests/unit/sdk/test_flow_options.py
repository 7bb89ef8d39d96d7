"""Invalid options of flows and tasks raise at decoration, with a message that lists the accepted values."""

import asyncio
import datetime
import functools
from typing import Any

import pytest

from controller import ConcurrencyLimit, DeploymentSpec, flow, task
from controller.sdk import deployment_specs

WRONG_TYPES: list[tuple[str, Any, str]] = [
    ("name", 5, "a string, not 5"),
    ("description", b"x", "a string, not a bytes"),
    ("retries", 1.9, "a whole number, 0 or more, not 1.9"),
    ("retries", "2", "a whole number, 0 or more, not '2'"),
    ("retries", True, "a whole number, 0 or more, not True"),
    (
        "retry_delay_seconds",
        "1",
        r"a number of seconds \(0 or more\), a list with one number per retry, or a function .* not '1'",
    ),
    ("retry_delay_seconds", [1, None], r"a number of seconds \(0 or more\), .* not \[1, None\]"),
    ("timeout_seconds", "5", "a number of seconds greater than 0, not '5'"),
    ("timeout_seconds", True, "a number of seconds greater than 0, not True"),
    ("log_prints", 1, "True or False, not 1"),
    ("on_failure", print, r"a list of functions, such as \[notify\], not the function print"),
    ("on_failure", [5], r"a list of functions, such as \[notify\], not \[5\]"),
]
INVALID_VALUES: list[tuple[str, Any, str]] = [
    ("retries", -1, "a whole number, 0 or more, not -1"),
    ("retry_delay_seconds", -1, r"a number of seconds \(0 or more\), .* not -1"),
    ("retry_delay_seconds", [1, -1], r"a number of seconds \(0 or more\), .* not \[1, -1\]"),
    ("retry_delay_seconds", [], r"a number of seconds \(0 or more\), .* not \[\]"),
    ("retry_delay_seconds", float("nan"), r"a number of seconds \(0 or more\), .* not nan"),
    ("timeout_seconds", 0, "a number of seconds greater than 0, not 0"),
    ("timeout_seconds", float("inf"), "a number of seconds greater than 0, not inf"),
]
FLOW_OPTIONS: list[tuple[str, Any, str]] = [
    ("concurrency", True, r"a whole number \(1 or more\) or a ConcurrencyLimit, not True"),
    ("concurrency", "8", r"a whole number \(1 or more\) or a ConcurrencyLimit, not '8'"),
    ("flow_run_name", lambda: "x", r"a template string, .* not the function <lambda>"),
    ("validate_parameters", "no", "True or False, not 'no'"),
    ("version", 1.0, "a string, not 1.0"),
    ("on_completion", print, r"a list of functions, such as \[notify\], not the function print"),
]
TASK_OPTIONS: list[tuple[str, Any, str]] = [
    ("tags", "daily", r"a list of strings, .* not 'daily'"),
    ("retry_jitter_factor", "1", "a number, 0 or more, not '1'"),
    ("retry_condition_fn", 5, "a function, not 5"),
    ("cache_key_fn", "x", "a function, not 'x'"),
    ("cache_expiration", 60, "a timedelta, not 60"),
]


def check_refused(kind: Any, option: str, value: Any, error: type[Exception], description: str) -> None:
    with pytest.raises(error, match=f"^{option} must be {description}"):
        kind(**{option: value})
    with pytest.raises(error, match=f"^{option} must be {description}"):
        kind(lambda: 1).with_options(**{option: value})


@pytest.mark.parametrize(("option", "value", "description"), WRONG_TYPES)
def test_an_option_of_the_wrong_type_raises_type_error(option: str, value: Any, description: str) -> None:
    check_refused(flow, option, value, TypeError, description)
    check_refused(task, option, value, TypeError, description)


@pytest.mark.parametrize(("option", "value", "description"), INVALID_VALUES)
def test_an_option_with_an_invalid_value_raises_value_error(option: str, value: Any, description: str) -> None:
    check_refused(flow, option, value, ValueError, description)
    check_refused(task, option, value, ValueError, description)


@pytest.mark.parametrize(("option", "value", "description"), FLOW_OPTIONS)
def test_options_that_only_flows_have_are_checked(option: str, value: Any, description: str) -> None:
    check_refused(flow, option, value, TypeError, description)


@pytest.mark.parametrize(("option", "value", "description"), TASK_OPTIONS)
def test_options_that_only_tasks_have_are_checked(option: str, value: Any, description: str) -> None:
    check_refused(task, option, value, TypeError, description)


def test_valid_options_are_accepted() -> None:
    day = datetime.timedelta(days=1)
    step = task(retries=2, retry_delay_seconds=[0, 1.5], retry_jitter_factor=0, tags={"a"}, cache_expiration=day)(len)
    assert task(tags=(word for word in ["a", "b"]))(len).with_options(name="x").tags == ("a", "b")
    assert step.with_options(retries=None, retry_delay_seconds=lambda n: [0] * n).retries == 0
    main = flow(concurrency=ConcurrencyLimit(2), retry_delay_seconds=0, on_failure=(print,), flow_run_name="{x}")
    assert main(lambda: 5)() == 5


@pytest.mark.parametrize(("limit", "error"), [(True, TypeError), ("8", TypeError), (1.5, TypeError), (0, ValueError)])
def test_a_concurrency_limit_is_a_whole_number(limit: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^a concurrency limit must be a whole number, 1 or more, not "):
        ConcurrencyLimit(limit)


def test_only_functions_can_be_decorated() -> None:
    with pytest.raises(TypeError, match=r"^@flow must decorate a function, not 'nightly': write @flow or"):
        flow("nightly")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^@task must decorate a function, not 5"):
        task()(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^write @classmethod above @flow, not below it"):
        flow(classmethod(lambda cls: cls))  # type: ignore[call-overload]


@pytest.mark.parametrize("wrong", [5, "x", {"a": 1}, True])
def test_wait_for_accepts_only_futures(wrong: Any) -> None:
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
            with pytest.raises(TypeError, match=r"^wait_for must be a future or a list of futures, not "):
                call(wait_for=wrong)

    main()


def test_wait_for_takes_a_single_future_or_any_iterable() -> None:
    executed: list[int] = []

    @task
    def step(x: int) -> int:
        executed.append(x)
        return len(executed)

    @flow
    def main() -> list[int]:
        first = step.submit(1)
        alone = step.submit(2, wait_for=first)
        generated = step.submit(3, wait_for=(future for future in [alone]))
        return [generated.result(), step(4, wait_for=[5, None])]  # type: ignore[call-arg]

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


def test_a_spec_with_a_flow_that_has_no_importable_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_specs, "registered", [])
    with pytest.raises(TypeError, match=r"^flow: a lambda has no name, so it cannot be found again: define it"):
        DeploymentSpec(name="x", flow=lambda: None)
    with pytest.raises(TypeError, match=r"^flow: expected a flow or a function, not 5"):
        DeploymentSpec(name="x", flow=5)
