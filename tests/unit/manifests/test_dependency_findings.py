"""Upstream deployments that nothing declares and cycles are reported where they are written, across files."""

import pytest

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.findings import Finding
from tests.unit.manifests.conftest import NOW, Read, manifest


def document(name: str, after: str = "", **more: str) -> str:
    lines = [f"name: {name}", "command: [a]", *([f"after: {after}"] if after else [])]
    return "\n".join([*lines, *(f"{key}: {value}" for key, value in more.items()), ""])


def reported(state: DesiredState) -> list[tuple[str, str, str]]:
    return [
        (finding.code, f"{finding.file}:{finding.line}:{finding.column}", finding.message) for finding in state.findings
    ]


def only(state: DesiredState) -> Finding:
    (finding,) = state.findings
    return finding


@pytest.mark.parametrize(
    ("after", "place", "path"),
    [
        ("ingset", "3:8", "$.after"),
        ("[a, ingset]", "3:12", "$.after[1]"),
        ("{deployment: ingset}", "3:21", "$.after.deployment"),
        ("{deployments: [a, {deployment: ingset, on: failed}]}", "3:39", "$.after.deployments[1].deployment"),
    ],
)
def test_an_upstream_that_nothing_declares_is_an_error(read: Read, after: str, place: str, path: str) -> None:
    state = read(a_yaml=document("a"), ingest_yaml=document("ingest"), report_yaml=document("report", after))
    finding = only(state)
    assert (finding.code, finding.path, f"{finding.line}:{finding.column}") == ("UnknownUpstream", path, place)
    assert finding.message == "there is no deployment named ingset"
    assert finding.hint == "did you mean ingest?"
    assert set(state.deployments) == {"a", "ingest"}
    assert state.broken_files == {"deployments/report.yaml"}


def test_an_upstream_with_an_error_of_its_own_is_declared(read: Read) -> None:
    state = read(a_yaml=document("ingest", suspend="maybe"), b_yaml=document("report", "ingest"))
    assert [finding.code for finding in state.findings] == ["WrongType"]
    assert set(state.deployments) == {"report"}


def test_a_renamed_upstream_is_named_in_the_hint(read: Read) -> None:
    state = read(a_yaml=document("load", renamed_from="ingest"), b_yaml=document("report", "ingest"))
    assert only(state).hint == "it was renamed: write load"


def test_several_upstreams_in_one_string_get_the_list_as_a_hint(read: Read) -> None:
    state = read(a_yaml=document("a"), b_yaml=document("b"), c_yaml=document("c", '"a, b"'))
    assert only(state).hint == "write a list: [a, b]"


def test_names_that_cannot_all_be_read_are_not_unknown(read: Read) -> None:
    state = read(a_yaml="{", b_yaml=document("report", "ingest"))
    assert "UnknownUpstream" not in {finding.code for finding in state.findings}


def test_a_part_of_a_repository_may_name_deployments_of_the_rest() -> None:
    reader = ManifestReader(is_whole=False)
    assert reader.read([manifest("deployments/a.yaml", document("report", "ingest"))], NOW).findings == ()


def test_a_cycle_is_named_whole_at_each_of_its_deployments(read: Read) -> None:
    state = read(
        a_yaml=document("a", "[free, b]") + "---\n" + document("free"),
        b_yaml=document("b", "{deployment: c}"),
        c_yaml=f"# the last one\n{document('c', 'a')}",
        d_yaml=document("d", "c"),
    )
    a, b, c = "a (deployments/a.yaml:3)", "b (deployments/b.yaml:3)", "c (deployments/c.yaml:4)"
    assert reported(state) == [
        ("DependencyCycle", "deployments/a.yaml:3:15", f"deployments wait for each other: {a} → {b} → {c} → a"),
        ("DependencyCycle", "deployments/b.yaml:3:21", f"deployments wait for each other: {b} → {c} → {a} → b"),
        ("DependencyCycle", "deployments/c.yaml:4:8", f"deployments wait for each other: {c} → {a} → {b} → c"),
    ]
    assert set(state.deployments) == {"free", "d"}


def test_of_two_cycles_that_share_a_deployment_each_is_named(read: Read) -> None:
    state = read("---\n".join([document("a", "[b, c]"), document("b", "a"), document("c", "d"), document("d", "a")]))
    cycles = {finding.deployment: finding.message.partition(": ")[2] for finding in state.findings}
    assert {name: cycle.count("→") for name, cycle in cycles.items()} == {"a": 2, "b": 2, "c": 3, "d": 3}


def test_a_long_cycle_is_shortened(read: Read) -> None:
    count = 200
    text = "---\n".join(document(f"d{index}", f"d{(index + 1) % count}") for index in range(count))
    state = read(text)
    assert len(state.findings) == count
    first = next(finding for finding in state.findings if finding.deployment == "d0")
    assert "d8 (deployments/a.yaml:35) → 190 more → d199 (deployments/a.yaml:799) → d0" in first.message


def test_a_chain_of_thousands_is_not_a_cycle(read: Read) -> None:
    text = "---\n".join([document("d0"), *(document(f"d{index}", f"d{index - 1}") for index in range(1, 1500))])
    assert read(text).findings == ()


def read_everywhere(*texts: str, project: str | None = None) -> DesiredState:
    files = [manifest(f"deployments/{index}.yaml", text) for index, text in enumerate(texts)]
    reader = ManifestReader(all_environments=True)
    return reader.read(files, NOW, None if project is None else manifest("controller.yaml", project))


def test_an_upstream_that_only_one_environment_leaves_out_is_reported() -> None:
    state = read_everywhere(
        document("wait", environments="{prod: {enabled: false}}"), document("report", "wait"), document("free")
    )
    finding = only(state)
    assert (finding.code, finding.file, finding.line) == ("UnknownUpstream", "deployments/1.yaml", 3)
    assert finding.message == "wait is not enabled, so it can't run first (in environment prod)"
    assert finding.hint == "remove it from after, or write enabled: true in wait"
    assert set(state.deployments) == {"wait", "free"}


def test_a_cycle_in_one_environment_only_is_reported() -> None:
    state = read_everywhere(
        document("b", environments="{prod: {after: c}, test: {tags: [x]}}") + "---\n" + document("free"),
        document("c", "b"),
    )
    assert {(finding.code, finding.deployment) for finding in state.findings} == {
        ("DependencyCycle", "b"),
        ("DependencyCycle", "c"),
    }
    assert all(finding.message.endswith("(in environment prod)") for finding in state.findings)


def test_a_mistake_of_all_environments_is_reported_once() -> None:
    texts = (document("a", "b"), document("b", "a", environments="{prod: {enabled: true}, test: {tags: [x]}}"))
    state = read_everywhere(*texts, project="environments: {prod: {}, test: {}}")
    assert [finding.deployment for finding in state.findings] == ["a", "b"]
    assert not any("environment" in finding.message for finding in state.findings)


def test_a_name_that_is_declared_twice_in_one_environment_is_reported() -> None:
    state = read_everywhere(
        document("a", environments="{prod: {enabled: false}}"),
        document("a", enabled="false", environments="{test: {enabled: true}}"),
    )
    assert [(finding.code, finding.file) for finding in state.findings] == [
        ("DuplicateName", "deployments/0.yaml"),
        ("DuplicateName", "deployments/1.yaml"),
    ]
    assert all(finding.message.endswith("(in environment test)") for finding in state.findings)
