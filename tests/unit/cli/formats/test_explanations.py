"""The explanations of codes: there is one for every code of the program, and its examples are true."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from controller.cli.formats.explanations import Explanation, as_markdown, as_text, codes, explain, find_page
from controller.flow_analysis.flow_problems import FlowCode, ParameterCode
from controller.manifests.reader import ManifestReader
from controller.model.findings import Severity
from controller.model.snapshots import ManifestFile
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


def test_reasons_of_conditions_are_explained_by_sections_of_the_documentation() -> None:
    for reason in ("UpstreamMissing", "FolderMissing", "PassOverdue", "NotStarted"):
        page, _, section = (find_page(reason) or "").partition(", section ")
        assert f"# {section}\n" in (ROOT / page).read_text(encoding="utf-8")
        assert reason not in ALL
    assert find_page("UnknownKey") is None


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
