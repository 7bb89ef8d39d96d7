"""A flow is found by any of its names; if it certainly does not exist, the problem lists the candidates."""

import pytest

from controller.flow_analysis import Flow, Problem, read_module

PREFECT = "from prefect import flow, task\nimport prefect\n"


def flow(source: str, name: str | None) -> Flow:
    result = read_module(source.encode()).find(name)
    assert isinstance(result, Flow), result
    return result


def problem(source: str, name: str | None) -> Problem:
    result = read_module(source.encode()).find(name)
    assert isinstance(result, Problem), result
    return result


def names(result: Flow) -> list[str] | None:
    return None if result.parameters is None else [parameter.name for parameter in result.parameters]


@pytest.mark.parametrize(
    "source",
    [
        "def main(a): ...",
        "async def main(a): ...",
        "main = lambda a: 1",
        "if True:\n    def main(a): ...",
        "if x:\n    pass\nelif y:\n    def main(a): ...",
        "try:\n    import x\nexcept ImportError:\n    def main(a): ...",
        "try:\n    pass\nfinally:\n    def main(a): ...",
        "with x:\n    def main(a): ...",
        "def main(): ...\ndef main(a): ...",
        "from x import *\ndef main(a): ...",
        "def etl(a): ...\nmain = etl",
        "def etl(a): ...\nalso = etl\nmain = also",
        PREFECT + "@flow\ndef main(a): ...",
        PREFECT + "@flow()\ndef main(a): ...",
        PREFECT + "@prefect.flow(retries=3)\nasync def main(a): ...",
        PREFECT + "@flow(name='nightly')\ndef main(a): ...",
        "from controller import flow as f\n@f\ndef main(a): ...",
        PREFECT + "def etl(a): ...\nmain = flow(etl)",
        PREFECT + "def etl(a): ...\nmain = flow(name='x')(etl)",
        PREFECT + "@flow\ndef etl(a): ...\nmain = etl.with_options(name='x')",
        PREFECT + "@flow(name='main')\ndef etl(a): ...",
        PREFECT + "@prefect.flow(name='main')\ndef etl(a): ...",
        PREFECT + "def etl(a): ...\nx = flow(etl, name='main')",
        PREFECT + "@flow\ndef etl(a): ...\nx = etl.with_options(name='main')",
        "import functools\n@functools.cache\ndef main(a): ...",
        "import functools\n@functools.lru_cache(maxsize=3)\ndef main(a): ...",
    ],
)
def test_a_flow_is_found_with_its_signature(source: str) -> None:
    assert names(flow(source, "main")) == ["a"]


@pytest.mark.parametrize(
    "source",
    [
        "from x import main",
        "from . import main",
        "from x import y as main",
        "import main",
        "main = make()",
        "main = Flow(name='x')",
        "main = functools.partial(f, 1)",
        "main = registry['main']",
        "main: Flow = make()",
        "class main:\n    def __call__(self): ...",
        "for main in flows: pass",
        "main, other = flows",
        "def etl(): ...\nif x:\n    main = etl\nelse:\n    def main(a): ...",
        "def main(a): ...\ndel main",
        "def main(a): ...\nmain = wrap(main)",
        "@wrap\ndef main(a): ...",
        "@wrap(1)\ndef main(a): ...",
        PREFECT + "@flow\n@wrap\ndef main(a): ...",
        PREFECT + "@wrap\n@flow\ndef main(a): ...",
        "from mine import flow\n@flow\ndef main(a): ...",
        "def flow(f): ...\n@flow\ndef main(a): ...",
        "from x import *",
        "def __getattr__(name): ...",
        "exec('def main(): ...')",
        "globals()['main'] = print",
        "def f():\n    global main\n    main = print",
        "def f():\n    setattr(sys.modules[__name__], 'main', f)",
        "(main := make())",
        PREFECT + "@flow(name=NAME)\ndef etl(a): ...",
        PREFECT + "@flow(**options)\ndef etl(a): ...",
        PREFECT + "from x import etl\ny = flow(etl)",
        PREFECT + "@flow\ndef etl(a): ...\ny = etl.with_options(**options)",
        "@deploy(name='main')\ndef etl(a): ...",
        "# coding: punycode\nanything",
        "def main(a): ...\nx = main\nmain = x",
        "def main(a): ...\nfrom x import *",
        "def main(a): ...\ntry:\n    from x import *\nexcept ImportError:\n    pass",
        "from x import *\nif 'main' not in globals():\n    def main(a): ...",
    ],
)
def test_a_flow_that_may_exist_has_an_unknown_signature(source: str) -> None:
    assert names(flow(source, "main")) is None


@pytest.mark.parametrize(
    "source",
    [
        "",
        "main = 5",
        "main = [print]",
        "main: int",
        "if __name__ == '__main__':\n    def main(): ...",
        "class Flows:\n    def main(self): ...",
        "def outer():\n    def main(): ...",
        "from __future__ import main",
        "x.main = print",
        "'def main(): ...'",
    ],
)
def test_only_callables_at_the_top_level_are_found(source: str) -> None:
    assert problem(source, "main").code == "FlowNotFound"


def test_a_flow_without_an_explicit_name_is_found_with_hyphens_too() -> None:
    source = PREFECT + "@flow\ndef my_flow(a): ...\n"
    assert flow(source, "my-flow").line == 4
    assert problem(PREFECT + "@flow(name='x')\ndef my_flow(a): ...", "my-flow").code == "FlowNotFound"


def test_a_missing_flow_suggests_the_most_similar_name_and_lists_all() -> None:
    result = problem("import os\n\ndef extract(): ...\n\ndef load(): ...\n", "laod")
    assert result.message == "this file has no flow laod"
    assert result.hint == "did you mean load? the file defines extract and load"
    assert result.line == 5


def test_a_name_with_control_characters_is_shown_without_them() -> None:
    result = problem(PREFECT + "@flow(name='etl\\n\\ud800')\ndef a(): ...", "etl\x1b")
    assert result.message.isprintable()
    assert result.hint is not None
    assert result.hint.isprintable()


def test_private_functions_are_listed_only_if_there_are_no_public_ones() -> None:
    assert problem("def _a(): ...\ndef b(): ...", "x").hint == "the file defines b"
    assert problem("def _a(): ...", "x").hint == "the file defines _a"
    assert problem("import os", "x").hint == "the file defines no functions"


def test_two_flows_of_the_same_name_are_ambiguous() -> None:
    source = PREFECT + "@flow(name='etl')\ndef a(): ...\n@flow(name='etl')\ndef b(): ...\n"
    result = problem(source, "etl")
    assert (result.code, result.line, result.hint) == ("AmbiguousFlow", 4, "name the function to run: a or b")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def a(): ...\ndef _b(): ...", "a"),
        ("from x import b\nclass C: ...\nN = 5\ndef a(): ...", "a"),
        (PREFECT + "@flow\ndef a(): ...\ndef b(): ...", "a"),
        (PREFECT + "@flow\ndef a(): ...\n@flow\ndef _b(): ...", "a"),
        (PREFECT + "def a(): ...\n@task\ndef b(): ...", "a"),
        (PREFECT + "from x import b\na = flow(b)", "a"),
        ("def a(): ...\nlog = make()", "a"),
        ("@wrap\ndef a(): ...", "a"),
        ("a = make()", "a"),
        ("a = make()\nb = make()", ""),
        ("from x import *", ""),
        ("if x:\n    def a(): ...\nelse:\n    def b(): ...", ""),
        ("@wrap\ndef a(): ...\n@wrap\ndef b(): ...", ""),
    ],
)
def test_without_a_name_the_only_flow_or_function_is_found(source: str, expected: str) -> None:
    assert flow(source, None).name == expected


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("def a(): ...\ndef b(): ...", "AmbiguousFlow", 1),
        (PREFECT + "def c(): ...\n@flow\ndef a(): ...\n@flow\nasync def b(): ...", "AmbiguousFlow", 5),
        ("from x import a\nN = 5", "FlowNotFound", 1),
        ("def _a(): ...", "FlowNotFound", 1),
        (PREFECT + "@task\ndef a(): ...", "FlowNotFound", 1),
        ("", "FlowNotFound", 1),
    ],
)
def test_without_a_name_several_candidates_or_none_are_a_problem(source: str, code: str, line: int) -> None:
    result = problem(source, None)
    assert (result.code, result.line) == (code, line)


def test_a_long_list_of_candidates_is_shortened() -> None:
    source = "".join(f"def step_{number}(): ...\n" for number in range(50))
    assert problem(source, None).hint is not None
    assert (problem(source, None).hint or "").endswith("step_9 or one of 40 more")


@pytest.mark.parametrize(
    ("decorator", "words"),
    [
        ("flow(retries=-1)", "@flow of main: retries must be a whole number, 0 or more, not -1"),
        ("flow(name=5)", "@flow of main: name must be a string, not 5"),
        ("task(retriez=make())", "@task of main: a task has no option 'retriez'"),
        ("flow(retry_delay_seconds=[])", "not []"),
        ("controller.flow(flow_run_name=lambda: 'x')", "not the function <lambda>"),
    ],
)
def test_an_invalid_option_makes_the_file_invalid(decorator: str, words: str) -> None:
    source = f"import controller\nfrom controller import flow, task\n@{decorator}\ndef main(a): ...\ndef other(): ..."
    for name in ("main", "other"):
        result = problem(source, name)
        assert (result.code, result.line) == ("FlowFileInvalid", 3)
        assert words in result.message


@pytest.mark.parametrize(
    "source",
    [
        "from controller import flow\n@flow(retries=RETRIES, on_failure=[notify], **more)\ndef main(a): ...",
        "from controller import flow\n@flow(retries=None, concurrency=make(-1))\ndef main(a): ...",
        "from controller import flow\nif x:\n    @flow(retries=-1)\n    def main(a): ...",
        "from mine import flow\n@flow(retries=-1)\ndef main(a): ...",
        "from prefect import flow\n@flow(retries=-1)\ndef main(a): ...",
        "from controller import flow\ndef flow(**_): return id\n@flow(retries=-1)\ndef main(a): ...",
    ],
)
def test_an_option_that_may_be_valid_is_not_reported(source: str) -> None:
    flow(source, "main")
