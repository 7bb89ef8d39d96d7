"""docs/findings.md lists every code of the program, and each example gives the finding of its section."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from controller.flow_analysis.flow_problems import FlowCode, ParameterCode
from controller.manifests.reader import ManifestReader
from controller.model.snapshots import ManifestFile
from tests.docs.pages import DOCS, ROOT, Section, code_blocks, sections
from tests.written_code import code_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CODE = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z0-9]*)+")
SECTIONS = {section.title: section for section in sections(DOCS / "findings.md", 3)}
WITH_EXAMPLE = [section for section in SECTIONS.values() if code_blocks(section.text, "yaml")]


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


def test_every_code_is_documented_and_no_other() -> None:
    assert set(SECTIONS) == codes_of_the_program()


def test_codes_of_the_negative_examples_are_documented() -> None:
    texts = [path.read_text() for path in (ROOT / "tests" / "examples" / "negative").glob("*.findings.json")]
    assert {code for text in texts for code in re.findall(r'"code": "(\w+)"', text)} <= set(SECTIONS)


@pytest.mark.parametrize("section", WITH_EXAMPLE, ids=lambda section: section.title)
def test_an_example_gives_the_finding_that_it_stands_under(section: Section) -> None:
    for block in code_blocks(section.text, "yaml"):
        file = ManifestFile(path="deployments/a.yaml", content=block.encode(), digest="1")
        found = [finding.code for finding in ManifestReader().read([file], NOW, code=code_of(block)).findings]
        assert section.title in found


def test_most_codes_have_an_example() -> None:
    assert len(WITH_EXAMPLE) > 0.7 * len(SECTIONS)
