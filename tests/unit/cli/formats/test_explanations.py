"""The explanations: complete, true by their examples, and the same as docs/findings.md."""

import re
from datetime import UTC, datetime

import pytest

from controller.cli.formats.explanations import Explanation, as_markdown, as_text, codes, explain
from controller.manifests.reader import ManifestReader
from controller.model.findings import Severity
from controller.model.snapshots import ManifestFile
from tests.docs.pages import DOCS, code_blocks
from tests.docs.test_findings_page import CODE, SECTIONS, codes_of_the_program
from tests.written_code import code_of

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL = codes()
PAGE = (DOCS / "findings.md").read_text(encoding="utf-8")


def known(code: str) -> Explanation:
    explanation = explain(code)
    assert explanation
    return explanation


def written(code: str) -> str:
    """Return the text of the page below the heading of this code; a `#` in an example is not a heading."""
    match = re.search(rf"^### {code}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert match
    return match[1]


def found_in(text: str) -> list[str]:
    file = ManifestFile(path="deployments/a.yaml", content=text.encode(), digest="1")
    return [finding.code for finding in ManifestReader().read([file], NOW, code=code_of(text)).findings]


def test_every_code_of_the_program_is_explained() -> None:
    assert codes_of_the_program() - set(ALL) == set()


def test_no_code_is_explained_that_does_not_exist() -> None:
    assert set(codes()) - codes_of_the_program() == set()
    assert len(set(ALL)) == len(ALL)


def test_the_page_has_the_same_codes_in_the_same_order() -> None:
    assert list(codes()) == list(SECTIONS)


@pytest.mark.parametrize("code", codes())
def test_the_page_says_the_same(code: str) -> None:
    explanation, text = known(code), written(code)
    words = " ".join(text.partition("```")[0].split())
    assert words in (explanation.meaning, f"{explanation.meaning} {explanation.remedy}")
    assert code_blocks(text, "yaml") == ([explanation.wrong] if explanation.wrong else [])


@pytest.mark.parametrize("code", [code for code in codes() if known(code).wrong])
def test_the_wrong_example_gives_the_finding_and_the_right_one_none(code: str) -> None:
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


def test_a_code_that_does_not_exist_has_no_explanation() -> None:
    assert explain("unknownkey") is None
    assert explain("") is None
