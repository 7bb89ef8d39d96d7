"""The explanations of codes: there is one for every code of the program, and its examples are true."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from controller.cli.formats.explained.reasons import Reason
from controller.cli.formats.explanations import (
    Explanation,
    as_markdown,
    as_text,
    codes,
    explain,
    explain_reason,
    reason_as_text,
    reasons,
)
from controller.flow_analysis.flow_problems import FlowCode, ParameterCode
from controller.manifests.reader import ManifestReader
from controller.model import status
from controller.model.backfills import BackfillState
from controller.model.findings import Severity
from controller.model.gates import UPSTREAM
from controller.model.runs import FAILURES, RunState
from controller.model.snapshots import ManifestFile
from controller.notify.deadline_targets import POLICY_SKIPS
from controller.schedules.exclusions import CALENDAR, WINDOW
from tests.docs.pages import ROOT
from tests.written_code import code_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL = codes()
CODE = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z0-9]*)+")


def known(code: str) -> Explanation:
    explanation = explain(code)
    assert explanation
    return explanation


def codes_in(source: str, *, positional: bool) -> Iterator[str]:
    """Every code in a call of this source: as `code=…`, and in `manifests` as a plain argument."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            given += node.args if positional else []
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value):
                    yield value.value


def codes_of_the_program() -> set[str]:
    found: set[str] = set()
    for package in ("manifests", "reconcile"):
        for path in (ROOT / "controller" / package).rglob("*.py"):
            found |= set(codes_in(path.read_text(encoding="utf-8"), positional=package == "manifests"))
    return found | {code.value for code in (*FlowCode, *ParameterCode)}


def found_in(text: str) -> list[str]:
    file = ManifestFile(path="deployments/a.yaml", content=text.encode(), digest="1")
    return [finding.code for finding in ManifestReader().read([file], NOW, code=code_of(text)).findings]


def test_exactly_the_existing_codes_are_explained() -> None:
    assert set(ALL) == codes_of_the_program()
    assert len(set(ALL)) == len(ALL)


REASONS_IN = (
    "triggers/*.py",
    "runs/upstream*.py",
    "runs/skip_reports.py",
    "reconcile/holiday*.py",
    "queries/deadline_*.py",
)
"""The modules in which every text in PascalCase is a reason."""


REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)*")
TAKE_REASONS = frozenset(
    {
        "PythonBuildError",
        "_event",
        "add",
        "condition",
        "new_event",
        "problem",
        "ready_condition",
        "record_event",
    }
)
"""The functions that have a reason as a plain argument."""


def reasons_in(tree: ast.AST) -> Iterator[str]:
    """Every reason in this code: of errors, of problem details, of events and of conditions."""
    for node in ast.walk(tree):
        given: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "reason":
            given = [] if isinstance(node.value, ast.BinOp) else [node.value]  # those of events about runs
        elif isinstance(node, ast.Assign):
            names = re.findall(r"\w+", ast.unparse(node.targets[0]))
            is_reason = "reason" in names or ("reasons" in names and isinstance(node.value, ast.Dict))
            given = [node.value] if is_reason else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in TAKE_REASONS:
            given = [value for value in node.args if isinstance(value, ast.Constant)]
        for value in (each for expression in given for each in ast.walk(expression)):
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and REASON.fullmatch(value.value):
                yield value.value


def printed_reasons() -> set[str]:
    """The reasons that any part of the program writes, and those of the events about runs and ended backfills."""
    paths = [path for path in (ROOT / "controller").rglob("*.py") if path.parent.name != "explained"]
    found = {reason for path in paths for reason in reasons_in(ast.parse(path.read_text(encoding="utf-8")))}
    ends = {*FAILURES, RunState.CANCELLED, RunState.SKIPPED, RunState.RETRYING}
    found |= {f"Backfill{state.value.title()}" for state in (BackfillState.SUCCEEDED, BackfillState.FAILED)}
    return found | {f"Run{state.value.title().replace('_', '')}" for state in ends}


def reasons_of_the_program() -> set[str]:
    """The reasons of the triggers, of deadlines, of conditions, and those of skipped due times in the documentation."""
    nodes = [
        node
        for pattern in REASONS_IN
        for path in (ROOT / "controller").glob(pattern)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    texts += [value for name, value in vars(status).items() if name.isupper() and isinstance(value, str)]
    admission = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").partition("for each skip:")[2]
    table = admission.partition("`UNIQUE")[0]
    skips = {text.partition(":")[0].split()[0] for text in re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)}
    assert {*POLICY_SKIPS, UPSTREAM.partition(":")[0], CALENDAR, WINDOW} < skips
    return {text for text in texts if CODE.fullmatch(text)} | skips


def test_every_reason_of_the_program_is_explained() -> None:
    explained = [reason.code for reason in reasons()]
    printed = printed_reasons()
    assert {"NoLeader", "DifferentTokens", "ExecutorMissing", "Held", "RunTimedOut"} < printed
    assert (reasons_of_the_program() | printed) - {*explained, *ALL} == set()
    paths = [path for path in (ROOT / "controller").rglob("*.py") if path.parent.name != "explained"]
    sources = "".join(path.read_text(encoding="utf-8") for path in paths)
    assert [code for code in explained if code not in printed and f'"{code}' not in sources] == []
    assert len(set(explained)) == len(explained)
    assert not set(explained) & set(ALL)


@pytest.mark.parametrize("reason", reasons(), ids=lambda reason: reason.code)
def test_a_reason_says_what_to_do_and_names_an_existing_section(reason: Reason) -> None:
    page, _, section = reason.page.partition(", section ")
    assert f"# {section}\n" in (ROOT / page).read_text(encoding="utf-8")
    assert explain_reason(reason.code) == reason
    title, meaning, remedy, see = reason_as_text(reason, 1000).split("\n\n")
    assert title == f"{reason.code} ({reason.subject}): {reason.summary}"
    assert (meaning, remedy, see) == (reason.meaning, reason.remedy, f"See {reason.page}.")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("upstream: ingest was skipped (overlap)", "upstream"),
        ("calendar DE-BY: Christmas Day", "calendar"),
        ("window: outside 08:00-10:00", "window"),
        ("upstreams", None),
        ("", None),
    ],
)
def test_a_reason_as_the_ledger_has_it_is_explained(text: str, code: str | None) -> None:
    reason = explain_reason(text)
    assert (None if reason is None else reason.code) == code


def test_codes_of_the_negative_examples_are_explained() -> None:
    texts = [path.read_text() for path in (ROOT / "tests" / "examples" / "negative").glob("*.findings.json")]
    assert {code for text in texts for code in re.findall(r'"code": "(\w+)"', text)} <= set(ALL)


def test_most_codes_have_an_example() -> None:
    assert sum(bool(known(code).wrong) for code in ALL) > 0.7 * len(ALL)


@pytest.mark.parametrize("code", [code for code in codes() if known(code).wrong])
def test_the_wrong_example_has_the_finding_and_the_right_one_none(code: str) -> None:
    assert code in found_in(known(code).wrong)
    assert found_in(known(code).right) == []


@pytest.mark.parametrize("code", ALL)
def test_an_explanation_is_complete(code: str) -> None:
    explanation = known(code)
    assert explanation.code == code
    assert CODE.fullmatch(code)
    assert explanation.summary
    assert not explanation.summary.endswith(".")
    assert len(explanation.summary) <= 60
    for paragraph in (explanation.meaning, explanation.remedy):
        assert paragraph.endswith(".")
        assert " ".join(paragraph.split()) == paragraph
    assert explanation.meaning.startswith("A warning: ") is (explanation.severity is Severity.WARNING)
    for example in filter(None, (explanation.wrong, explanation.right)):
        assert example.endswith("\n")
    for shown in (as_text(explanation), as_markdown(explanation)):
        assert shown.replace("\n", "").isprintable()
        assert explanation.remedy.split()[0] in shown


def test_an_explanation_reads_like_this() -> None:
    assert as_text(known("UnknownAlias")) == (
        "UnknownAlias (error): an alias without an anchor\n"
        "\n"
        "The alias `*name` has no anchor `&name` before it.\n"
        "\n"
        "Add the anchor, or write the value in quotes if it is a string.\n"
        "\n"
        "Wrong:\n"
        "\n"
        "    name: nightly\n"
        "    flow: flows/etl.py:main\n"
        "    tags: *common\n"
        "\n"
        "Right:\n"
        "\n"
        "    name: nightly\n"
        "    flow: flows/etl.py:main\n"
        '    tags: ["*common"]'
    )


def test_an_explanation_fits_the_width() -> None:
    words = as_text(known("RefusedFile"), 40)
    assert max(len(line) for line in words.split("\n")) <= 40


def test_an_unknown_code_has_no_explanation() -> None:
    assert explain("unknownkey") is None
    assert explain("") is None
