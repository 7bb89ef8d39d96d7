"""Names of deployments in public repositories that use Prefect can be kept, or have a proposal that can be used."""

import json
import re
from pathlib import Path

import pytest

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.names import MAX_NAME, fold_name, name_from_title
from controller.model.snapshots import ManifestFile
from tests.conftest import NOW

FILE = Path(__file__).parents[2] / "examples" / "prefect_deployment_names.txt"
NAMES = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
VALID = [name for name in NAMES if RULE.fullmatch(name)]
INVALID = [name for name in NAMES if not RULE.fullmatch(name)]
TEMPLATES = ["{{ $ENVIRONMENT }}-etl", "etl/{{ flow_run.name }}", "{{ customer }}/{{ region }}"]


def read(*names: str) -> DesiredState:
    """Read one document for each name."""
    text = "\n---\n".join(f"name: {json.dumps(name)}\ncommand: ['true']" for name in names)
    file = ManifestFile(path="deployments/all.yaml", content=text.encode(), digest="1")
    return ManifestReader().read([file], NOW)


def proposals(state: DesiredState) -> list[str]:
    """The names that the findings propose."""
    assert {finding.code for finding in state.findings} <= {"InvalidValue"}
    return [(finding.hint or "").partition(": ")[2] for finding in state.findings]


def test_the_list_has_hundreds_of_names_and_most_can_be_kept() -> None:
    assert len(NAMES) == len(set(NAMES)) > 350
    assert len(VALID) > 0.9 * len(NAMES)
    assert INVALID


def test_all_valid_names_are_valid_in_one_repository_and_unchanged() -> None:
    state = read(*VALID)
    assert state.findings == ()
    assert list(state.deployments) == VALID


@pytest.mark.parametrize("name", [*INVALID, *TEMPLATES])
def test_an_invalid_name_has_one_finding_which_proposes_a_valid_name(name: str) -> None:
    state = read(name)
    [finding] = state.findings
    assert (finding.line, finding.column, finding.path) == (1, 7, "$.name")
    [proposed] = proposals(state)
    assert RULE.fullmatch(proposed)
    assert read(proposed).findings == ()


def test_the_proposals_for_one_repository_differ_from_all_other_names() -> None:
    proposed = proposals(read(*NAMES, *TEMPLATES))
    assert len(proposed) == len(INVALID) + len(TEMPLATES)
    state = read(*VALID, *proposed)
    assert state.findings == ()
    assert len(state.deployments) == len(NAMES) + len(TEMPLATES)


def test_a_proposal_that_is_taken_gets_a_number() -> None:
    state = read("my flow", "My-Flow", "my/flow", "my  flow")
    assert proposals(state) == ["my-flow-2", "my-flow-3", "my-flow-4"]
    assert list(state.deployments) == ["My-Flow"]


def test_a_numbered_proposal_is_not_too_long() -> None:
    titles = ["a " * 100, "a/" * 100]
    first, second = proposals(read(*titles))
    assert (len(first), len(second)) == (len(str(name_from_title(titles[0]))), MAX_NAME)
    assert fold_name(first) != fold_name(second)
    assert read(first, second).findings == ()


def test_a_name_is_proposed_for_its_file_in_the_same_way_in_each_environment() -> None:
    file = ManifestFile(
        path="deployments/a.yaml",
        content=b"name: my flow\ncommand: ['true']\nenvironments: {prod: {suspend: true}, dev: {suspend: true}}",
        digest="1",
    )
    assert set(proposals(ManifestReader().read([file], NOW))) == {"my-flow"}


@pytest.mark.parametrize(("title", "name"), [("Ünder Wörk", "Under-Work"), ("café", "cafe"), ("日本", None)])
def test_a_proposed_name_keeps_letters_without_their_accents(title: str, name: str | None) -> None:
    assert name_from_title(title) == name
