"""A flow in its own process is found, called and reported, without interference by our modules."""

from textwrap import dedent

import pytest

from tests.unit.runs.conftest import RunFlow, one_start

pytestmark = pytest.mark.integration


def test_a_function_is_called_with_its_parameters_and_its_result_reported(run_flow: RunFlow) -> None:
    code = "def add(nums, plus=0):\n    print('adding')\n    return sum(nums) + plus\n"
    ending, log = run_flow({"flows/a.py": code}, "flows/a.py:add", nums=[1, 2, 3, 4], plus=5)
    assert ending == {"outcome": "succeeded", "exit_code": 0, "signal": None, "result": 15}
    assert log == "adding\n"


@one_start
def test_a_coroutine_runs_to_its_end(run_flow: RunFlow) -> None:
    code = "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return {'x': x}\n"
    ending, _ = run_flow({"a.py": code}, "a.py:f", x="grüße")
    assert (ending["outcome"], ending["result"]) == ("succeeded", {"x": "grüße"})


@one_start
def test_without_a_name_the_only_function_is_the_flow(run_flow: RunFlow) -> None:
    code = "from os.path import join\nimport json\nX = 1\ndef _helper(): ...\ndef main():\n    return 'it'\n"
    ending, _ = run_flow({"a.py": code}, "a.py")
    assert ending["result"] == "it"


@one_start
@pytest.mark.parametrize(
    ("code", "flow", "words"),
    [
        (
            "def a(): ...\ndef b(): ...\n",
            "a.py",
            "Set flow_name to choose a flow of a.py; its functions: a, b.",
        ),
        ("x = 1\n", "a.py", "Set flow_name to choose a flow of a.py; its functions: none."),
        ("def a(): ...\n", "a.py:nope", "a.py has no flow 'nope'; its functions: a."),
        ("x = 1\n", "a.py:x", "a.py has no flow 'x'; its functions: none."),
        ("", "b.py:f", "b.py does not exist in this revision."),
        ("", "notes.txt:f", "notes.txt is not a Python file."),
    ],
)
def test_a_missing_flow_error_lists_the_existing_flows(run_flow: RunFlow, code: str, flow: str, words: str) -> None:
    ending, log = run_flow({"a.py": code, "notes.txt": ""}, flow)
    assert (ending["outcome"], ending["exit_code"], ending["error"]) == ("failed", 1, words)
    assert log == f"{words}\n"


def test_a_traceback_starts_at_the_first_frame_of_user_code(run_flow: RunFlow) -> None:
    code = "def inner():\n    raise ValueError('no such table')\ndef f():\n    inner()\n"
    ending, log = run_flow({"flows/a.py": code}, "flows/a.py:f")
    assert (ending["outcome"], ending["error"]) == ("failed", "ValueError: no such table")
    assert log.startswith("Traceback")
    assert "flow_main.py" not in log
    assert log.count('  File "flows/a.py", line ') == log.count("  File ") == 2


@one_start
def test_a_traceback_has_only_frames_of_user_code_also_in_tasks_and_causes(run_flow: RunFlow) -> None:
    code = """
        from controller import flow, task

        @task
        def load():
            raise KeyError("rows")

        @task(retries=1)
        def clean(rows):
            try:
                load()
            except KeyError as error:
                raise ValueError("no rows") from error

        @flow
        def main():
            return clean.submit([1]).result()
    """
    ending, log = run_flow({"flows/a.py": dedent(code)}, "flows/a.py:main")
    assert ending["error"].endswith("ValueError: no rows")
    files = [line for line in log.splitlines() if line.startswith("  File ")]
    assert [line.rpartition(" in ")[2] for line in files] == ["clean", "load", "main", "clean"]
    assert all(line.startswith('  File "flows/a.py", line ') for line in files)


@one_start
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise RuntimeError('a\\nb')", "RuntimeError: a"),
        ("raise KeyError()", "KeyError"),
        ("raise ValueError('x' * 5000)", "ValueError: " + "x" * 988 + "…"),
        ("f(1, 2)", "TypeError: f() takes 0 positional arguments but 2 were given"),
    ],
)
def test_an_error_is_one_line_of_bounded_length(run_flow: RunFlow, code: str, error: str) -> None:
    ending, _ = run_flow({"a.py": f"def f():\n    {code}\n"}, "a.py:f")
    assert ending["error"] == error


@one_start
def test_a_file_that_does_not_compile_or_import_fails_the_run(run_flow: RunFlow) -> None:
    ending, log = run_flow({"a.py": "def f(:\n"}, "a.py:f")
    assert ending["error"].startswith("SyntaxError")
    assert "a.py" in log
    ending, _ = run_flow({"a.py": "import no_such_thing\ndef f(): ...\n"}, "a.py:f")
    assert ending["error"] == "ModuleNotFoundError: No module named 'no_such_thing'"


@one_start
def test_wrong_parameters_fail_the_run(run_flow: RunFlow) -> None:
    ending, _ = run_flow({"a.py": "def f(x): ...\n"}, "a.py:f", y=1)
    assert ending["error"] == "TypeError: f() got an unexpected keyword argument 'y'"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("sys.exit(7)", ("failed", 7, None)),
        ("sys.exit()", ("succeeded", 0, None)),
        ("sys.exit('no')", ("failed", 1, None)),
        ("os._exit(5)", ("failed", 5, None)),
        ("os._exit(0)", ("failed", 0, None)),
        ("sys.exit(256)", ("failed", 0, None)),
        ("os.kill(os.getpid(), 9)", ("failed", None, 9)),
    ],
)
def test_a_flow_may_exit_its_process(run_flow: RunFlow, how: str, expected: tuple[str, int | None, int | None]) -> None:
    ending, _ = run_flow({"a.py": f"import os, sys\ndef f():\n    {how}\n"}, "a.py:f")
    assert (ending["outcome"], ending["exit_code"], ending["signal"]) == expected


def test_a_process_that_exits_without_a_report_has_not_succeeded(run_flow: RunFlow) -> None:
    code = "import os\nfrom controller import flow\n@flow\ndef f():\n    os._exit(0)\n"
    ending, _ = run_flow({"a.py": code}, "a.py:f")
    assert ending["outcome"] == "failed"
    assert ending["reason"] == "the process exited with code 0 before the flow returned"
    ending, _ = run_flow({"a.py": "import atexit, os\ndef f():\n    atexit.register(os._exit, 0)\n"}, "a.py:f")
    assert ending["outcome"] == "succeeded"


def test_a_file_that_exits_during_its_import_fails_the_run(run_flow: RunFlow) -> None:
    ending, log = run_flow({"a.py": "import sys\nsys.exit()\ndef f(): ...\n"}, "a.py:f")
    assert (ending["outcome"], ending["exit_code"]) == ("failed", 1)
    assert ending["error"] == "a.py called sys.exit(None) during import; no flow was called."
    assert log == f"{ending['error']}\n"


@one_start
@pytest.mark.parametrize("call", ["step()", "step.submit()", "step.submit().result()", "below()"])
def test_a_task_or_subflow_that_exits_fails_and_so_does_its_flow(run_flow: RunFlow, call: str) -> None:
    code = (
        "import sys\nfrom controller import flow, task\n@task\ndef step():\n    sys.exit(0)\n"
        f"@flow\ndef below():\n    sys.exit(0)\n@flow\ndef f():\n    {call}\n"
    )
    ending, _ = run_flow({"a.py": code}, "a.py:f")
    name = "below" if call == "below()" else "step"
    assert ending["outcome"] == "failed"
    assert f"{name}-1 called sys.exit(0); return or raise an error instead" in ending["error"]


RESULTS: list[tuple[str, object]] = [
    ("None", None),
    ("{1: 'a', 'b': (1, 2)}", {"1": "a", "b": [1, 2]}),
    ("object", "<class 'object'>"),
    ("float('nan')", "nan"),
    ("{'x': {1, }}", "{'x': {1}}"),
    ("'x' * 10_000", '"' + "x" * 8191 + "…"),
    ("'\\ud800'", "\ud800"),
    ("Odd()", "<Odd, whose repr failed>"),
    ("nested(5)", [[[[[]]]]]),
]
PRELUDE = """
class Odd:
    def __repr__(self):
        raise RuntimeError("no text")
def nested(depth):
    found = []
    for _ in range(depth - 1):
        found = [found]
    return found
"""


@one_start
@pytest.mark.parametrize(("value", "result"), RESULTS, ids=[value for value, _ in RESULTS])
def test_a_result_that_is_not_json_or_too_large_is_shown_as_text(run_flow: RunFlow, value: str, result: object) -> None:
    ending, log = run_flow({"a.py": f"{PRELUDE}\ndef f():\n    return {value}\n"}, "a.py:f")
    assert ending["outcome"] == "succeeded", log
    assert ending["result"] == result


@pytest.mark.parametrize("depth", [200, 985, 50_000])
def test_a_deeply_nested_result_does_not_fail_the_run(run_flow: RunFlow, depth: int) -> None:
    ending, log = run_flow({"a.py": f"{PRELUDE}\ndef f():\n    return nested({depth})\n"}, "a.py:f")
    assert ending["outcome"] == "succeeded", log
    assert isinstance(ending["result"], str)


def test_files_beside_the_flow_do_not_shadow_the_standard_library(run_flow: RunFlow) -> None:
    files = {
        "flows/a.py": "import json, helper\ndef f():\n    return [json.dumps({'x': 1}), helper.NAME]\n",
        "flows/json.py": "raise RuntimeError('shadowed')\n",
        "flows/helper.py": "import json, random\nNAME = 'helper'\n",
        "random.py": "raise RuntimeError('shadowed')\n",
        "asyncio.py": "raise RuntimeError('shadowed')\n",
    }
    ending, log = run_flow(files, "flows/a.py:f")
    assert ending.get("result") == ['{"x": 1}', "helper"], log


def test_a_flow_in_a_file_named_like_the_standard_library_does_not_shadow_it(run_flow: RunFlow) -> None:
    code = "import queue, logging\ndef f():\n    return [queue.Queue().qsize(), logging.getLevelName(20)]\n"
    ending, log = run_flow({"queue.py": code}, "queue.py:f")
    assert ending.get("result") == [0, "INFO"], log


def test_a_user_package_named_controller_is_imported(run_flow: RunFlow) -> None:
    files = {
        "controller/__init__.py": "WHO = 'mine'\n",
        "controller/runs.py": "WHERE = 'here'\n",
        "flows/a.py": "import controller\nfrom controller.runs import WHERE\n"
        "def f():\n    return [controller.WHO, WHERE]\n",
    }
    ending, log = run_flow(files, "flows/a.py:f")
    assert ending.get("result") == ["mine", "here"], log


def test_no_internal_module_is_loaded_in_a_flow(run_flow: RunFlow) -> None:
    code = (
        "import sys\ndef f():\n"
        "    return [name for name in sys.modules if name.startswith(('controller', 'flow_main', 'supervisor'))]\n"
    )
    ending, _ = run_flow({"a.py": code}, "a.py:f")
    assert ending["result"] == []


def test_objects_defined_in_a_flow_file_can_be_pickled(run_flow: RunFlow) -> None:
    code = "import pickle\nclass C: ...\ndef f():\n    return type(pickle.loads(pickle.dumps(C()))).__module__\n"
    ending, _ = run_flow({"flows/a.py": code}, "flows/a.py:f")
    assert ending["result"] == "flows.a"


def test_child_processes_of_a_flow_do_not_inherit_the_report_descriptor(run_flow: RunFlow) -> None:
    code = "import subprocess\ndef f():\n    return subprocess.call('echo x >&4', shell=True, close_fds=False)\n"
    ending, _ = run_flow({"a.py": code}, "a.py:f")
    assert ending["result"] != 0


@one_start
def test_a_flow_that_returns_a_generator_fails(run_flow: RunFlow) -> None:
    ending, log = run_flow({"a.py": "def f():\n    print('never')\n    yield 1\n"}, "a.py:f")
    assert ending["outcome"] == "failed"
    assert ending["error"].startswith("a.py: the flow is a generator")
    assert "never\n" not in log


@one_start
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise SystemExit('no luck')", "no luck"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class E(Exception):\n        def __str__(self): raise ValueError\n    raise E", "E"),
    ],
)
def test_every_way_to_fail_reports_a_reason(run_flow: RunFlow, code: str, error: str) -> None:
    ending, _ = run_flow({"a.py": f"def f():\n    {code}\n"}, "a.py:f")
    assert (ending["outcome"], ending["exit_code"], ending["error"]) == ("failed", 1, error)


@one_start
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def f():\n    raise Skip('no files')\n", "no files"),
        ("def f():\n    raise Skip\n", None),
        ("def f():\n    raise Skip('\\n grüße\\n\\n  more\\n')\n", "grüße\n\n  more"),
        ("def f():\n    raise Skip('x' * 4096)\n", "x" * 4096),
        ("def f():\n    raise Skip('ü' * 2049)\n", "ü" * 2046 + "…"),
        ("class Nothing(Skip): ...\nasync def f():\n    raise Nothing(1)\n", "1"),
        ("def f():\n    raise ExceptionGroup('all', [Skip('a'), ExceptionGroup('b', [Skip('c')])])\n", "a"),
        ("@flow(retries=3)\ndef f():\n    raise Skip('no files')\n", "no files"),
        ("@task\ndef t(): raise Skip('no files')\n@flow\ndef f(): return t.submit()\n", "no files"),
        ("@flow\nasync def f():\n    raise Skip('no files')\n", "no files"),
        ("@flow\ndef f(): raise Skip('inner')\ndef g(): f()\n", "inner"),
    ],
)
@pytest.mark.parametrize("own", [{}, {"controller/load.py": "x = 1\n"}], ids=["plain", "own controller folder"])
def test_a_flow_that_raises_skip_is_skipped(
    run_flow: RunFlow, code: str, reason: str | None, own: dict[str, str]
) -> None:
    files = {"a.py": f"from controller import Skip, flow, task\n{code}", **own}
    ending, log = run_flow(files, "a.py:g" if "def g" in code else "a.py:f")
    assert ending == {"outcome": "skipped", "exit_code": 0, "signal": None, "skipped": reason}
    assert "Traceback" not in log


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    raise ExceptionGroup('all', [Skip('a'), ValueError('b')])\n",
        "class Skip(Exception): ...\ndef f():\n    raise Skip('of our own')\n",
        "import atexit, os\ndef f():\n    atexit.register(os._exit, 3)\n    raise Skip('no files')\n",
    ],
)
def test_an_exception_group_with_more_than_skips_is_a_failure(run_flow: RunFlow, code: str) -> None:
    ending, _ = run_flow({"a.py": f"from controller import Skip\n{code}"}, "a.py:f")
    assert ending["outcome"] == "failed"


NAMED = """
from controller import flow
@flow(name="the sum")
def add(nums: list[int]): return sum(nums)
@flow
def two_words(): return "two"
other = two_words
def plain(): return "plain"
"""


@one_start
@pytest.mark.parametrize(
    ("name", "result"),
    [("add", 3), ("the sum", 3), ("two_words", "two"), ("two-words", "two"), ("other", "two"), ("plain", "plain")],
)
def test_a_flow_is_found_by_its_function_variable_or_declared_name(
    run_flow: RunFlow, name: str, result: object
) -> None:
    parameters = {"nums": ["1", 2]} if result == 3 else {}
    ending, log = run_flow({"a.py": NAMED}, f"a.py:{name}", **parameters)
    assert ending.get("result") == result, log


@one_start
def test_without_a_name_the_decorated_function_is_the_flow(run_flow: RunFlow) -> None:
    code = "from controller import flow, task\ndef helper(): ...\n@task\ndef step(): return 1\n"
    ending, log = run_flow({"a.py": f"{code}@flow\ndef main(): return step()\n"}, "a.py")
    assert ending.get("result") == 1, log


@one_start
@pytest.mark.parametrize("decorator", ["", "@controller.flow\n", "@functools.cache\n"])
def test_parameters_are_converted_to_their_hints_or_the_flow_is_not_called(run_flow: RunFlow, decorator: str) -> None:
    code = f"import controller, functools\n{decorator}def f(nums: list[int]):\n    print('ran')\n    return nums\n"
    ending, log = run_flow({"a.py": code.replace("list[int]", "tuple[int, ...]")}, "a.py:f", nums=["1", 2])
    assert ending.get("result") == [1, 2], log
    ending, log = run_flow({"a.py": code}, "a.py:f", nums="[1, 2, 3, 4]")
    words = 'parameter nums: expected list[int], got the string "[1, 2, 3, 4]"'
    assert (ending["outcome"], ending["exit_code"], ending["error"]) == ("failed", 1, words)
    assert log.splitlines()[-1] == words
    assert "ran" not in log
    assert "Traceback" not in log


@one_start
def test_parameter_validation_can_be_disabled(run_flow: RunFlow) -> None:
    code = "from controller import flow\n@flow(validate_parameters=False)\ndef f(nums: list[int]): return nums\n"
    ending, log = run_flow({"a.py": code}, "a.py:f", nums="1,2")
    assert ending.get("result") == "1,2", log


@one_start
def test_a_mapping_becomes_a_dataclass_of_the_file(run_flow: RunFlow) -> None:
    code = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Options:\n    days: int\n    parent: Options | None = None\n"
        "async def f(options: Options): return [options.days, options.parent.days]\n"
    )
    ending, log = run_flow({"flows/a.py": code}, "flows/a.py:f", options={"days": "1", "parent": {"days": 2.0}})
    assert ending.get("result") == [1, 2], log


def test_parameters_are_checked_beside_a_user_package_named_controller(run_flow: RunFlow) -> None:
    files = {
        "controller/__init__.py": "",
        "a.py": "import controller\ndef f(x: int): return [x, controller.__path__]\n",
    }
    ending, log = run_flow(files, "a.py:f", x="5")
    assert ending["result"][0] == 5, log
    assert ending["result"][1][0].endswith("code/controller")


def test_a_flow_that_exits_with_0_has_succeeded(run_flow: RunFlow) -> None:
    code = "import sys\nfrom controller import flow\n@flow\ndef f(): sys.exit(0)\n"
    ending, log = run_flow({"a.py": code}, "a.py:f")
    assert (ending["outcome"], log) == ("succeeded", "")
