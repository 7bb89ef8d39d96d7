"""Flows in plain Python: subflows, retries, hooks, parameter checks and a readable log."""

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from controller import flow, get_run_context, get_run_logger, task
from controller.sdk.argument_coercion import ParameterError
from controller.sdk.run_states import ExitedError, MissingContextError, TimedOutError


@flow
def add(nums: list[int], plus: int = 0) -> int:
    """Add up."""
    return sum(nums) + plus


def test_a_flow_that_is_called_returns_its_value_and_checks_its_parameters() -> None:
    assert add(["1", 2], plus="3") == 6  # type: ignore[arg-type, list-item]
    with pytest.raises(ParameterError, match=r"^parameter nums: expected list\[int\], got the string \"\[1, 2\]\"$"):
        add("[1, 2]")  # type: ignore[arg-type]
    assert add.with_options(validate_parameters=False)(nums=(1, 2)) == 3  # type: ignore[arg-type]
    assert add.fn([1]) == 1
    assert (add.name, add.description, add.__doc__) == ("add", "Add up.", "Add up.")
    assert add.with_options(name="sum").name == "sum"


def test_a_parameter_may_have_any_name() -> None:
    @task
    def one(self: int, fn: int) -> int:
        return self + fn

    @flow
    def two(self: int, name: int) -> int:
        return one(self=self, fn=name)

    assert two(self=1, name=2) == 3


def test_an_async_flow_is_awaited() -> None:
    @flow(name="my flow")
    async def main(x: int) -> int:
        return add([x]) + await inner(x)

    @flow
    async def inner(x: int) -> int:
        return x

    assert asyncio.run(main("2")) == 4  # type: ignore[arg-type]


def test_a_flow_is_retried_and_its_hooks_are_called() -> None:
    hook_calls: list[tuple[str, str]] = []
    attempts: list[int] = []

    def hook(owner: Any, run: Any, state: Any) -> None:
        hook_calls.append((owner.name, state.name if run.state == state else "another"))
        raise RuntimeError("a hook changes nothing")

    @flow(retries=1, retry_delay_seconds=0.001, on_failure=[hook], on_completion=[hook])
    def main(limit: int) -> int:
        attempts.append(get_run_context().attempt)
        if len(attempts) < limit:
            raise ValueError("not yet")
        return len(attempts)

    assert main(2) == 2
    with pytest.raises(ValueError, match="not yet"):
        main(10)
    assert attempts == [1, 2, 1, 2]
    assert hook_calls == [("main", "succeeded"), ("main", "failed")]


def test_a_flow_and_its_task_have_separate_timeouts() -> None:
    @task(timeout_seconds=60)
    def endless() -> None:
        while True:
            pass

    @flow(timeout_seconds=0.05)
    def main() -> None:
        endless()

    with pytest.raises(TimedOutError, match=r"^main-\d+ ran longer than its timeout of 0.05 s$"):
        main()


def test_the_run_context_exists_only_during_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_RUN_ID", "r1")
    monkeypatch.setenv("CONTROLLER_ATTEMPT", "2")

    @task
    def inner() -> Any:
        return get_run_context()

    @flow
    def main(x: int) -> Any:
        assert x == 5
        return inner(), get_run_context().parameters

    context, parameters = main(x="5")  # type: ignore[arg-type]
    assert (context.kind, context.task, context.flow, context.run_id, context.run_attempt) == (
        "task",
        inner,
        main,
        "r1",
        2,
    )
    assert (parameters, context.upstream) == ({"x": 5}, {})
    for outside in (get_run_context, get_run_logger):
        with pytest.raises(MissingContextError):
            outside()


def test_log_lines_have_the_label_of_their_run(caplog: pytest.LogCaptureFixture) -> None:
    @task(log_prints=True)
    def speak() -> None:
        get_run_logger().info("from the logger")
        print("printed", "words")  # noqa: T201

    with caplog.at_level(logging.INFO):
        speak()
    lines = [(vars(record)["run"].rpartition("-")[0], record.getMessage()) for record in caplog.records]
    assert lines == [("speak", "from the logger"), ("speak", "printed words")]


def test_a_script_runs_in_plain_python_with_a_readable_log(tmp_path: Path) -> None:
    script = tmp_path / "my_flow.py"
    script.write_text(
        "from controller import flow, get_run_logger, task\n"
        "@task(retries=1)\n"
        "def load(x, seen=[]):\n    seen.append(x)\n    if len(seen) == 1: raise OSError('away')\n    return x\n"
        "@flow\n"
        "def main(x: int):\n    get_run_logger().info('hello')\n    return load.submit(x)\n"
        "if __name__ == '__main__':\n    print(main('5'))\n",
        encoding="utf-8",
    )
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert process.stdout == "5\n"
    lines = [line.partition(" | ")[2] for line in process.stderr.splitlines()]
    assert lines == ["INFO    | main-1 | hello", "WARNING | load-1 | OSError: away; retry 1 of 1 in 0 s"]


def test_control_characters_in_names_and_errors_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        r"""
from controller import flow, markdown, task

@task(name="a\nb\x1b[2J", retries=1)
def step():
    raise type("E\x07", (Exception,), {})("red \x1b[31m\r alert")

@flow(name="f\u202eg")
def main():
    markdown("text", key="k\x1b[0m")
    step.submit().wait()
    return step.submit().state

try:
    main()
except RuntimeError as error:
    print(error)
""",
        encoding="utf-8",
    )
    process = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    output = process.stdout + process.stderr
    assert all(line.isprintable() for line in output.split("\n"))
    assert r"| a\nb\x1b[2J-1 | E\x07: red \x1b[31m" in process.stderr
    assert r"f\u202eg-1" in process.stderr


def test_sys_exit_ends_a_script_in_a_flow_and_fails_in_a_task(tmp_path: Path) -> None:
    code = "import sys\nfrom controller import flow, task\n@task(retries=1)\ndef step():\n    sys.exit(CODE)\n"
    flows = "@flow\ndef main():\n    sys.exit(CODE)\n@flow\ndef above():\n    step()\n"

    def exit_code(call: str, code_text: str) -> int:
        text = f"{code}{flows}{call}\nprint('went on')\n".replace("CODE", code_text)
        (tmp_path / "main.py").write_text(text, encoding="utf-8")
        process = subprocess.run([sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert process.stdout == ""
        assert (f"step-1 called sys.exit({code_text})" in process.stderr) is (call != "main()")
        return process.returncode

    assert [exit_code("main()", code) for code in ("0", "3")] == [0, 3]
    assert [exit_code("above()", code) for code in ("0", "3")] == [1, 1]
    assert exit_code("step()", "0") == 1


def test_sys_exit_in_an_async_task_fails() -> None:
    @task
    async def step() -> None:
        sys.exit(0)

    @flow
    async def main(call: str) -> None:
        await (step() if call == "call" else step.submit())

    for call in ("call", "submit"):
        with pytest.raises(ExitedError, match=r"called sys.exit\(0\); return or raise an error instead"):
            asyncio.run(main(call))
