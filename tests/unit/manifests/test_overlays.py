"""Documents are rendered for an environment, and findings point at the place where the value was written."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests.merge import overlay
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.value_nodes import value_node
from controller.model.findings import Finding
from controller.model.snapshots import ManifestFile, RefusedFile
from tests.unit.manifests.conftest import manifest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NIGHTLY = """\
name: nightly
flow: flows/etl.py:main
parameters: {region: eu, days: 1}
schedule: {cron: "0 4 * * *", timezone: Europe/Berlin}
environments:
  staging:
    parameters: {region: test}
    schedule: null
  prod: {schedule: {cron: "0 3 * * *"}, timeout: 2h}
"""
PROJECT = """\
project: sales
defaults:
  timeout: 1h
  tags: [sales]
  parameters: {region: us, verbose: true}
queues: {heavy: {limit: 2}}
environments:
  prod:
    defaults: {timeout: 4h, tags: null, queue: heavy}
"""


def project_file(text: str) -> ManifestFile:
    return manifest("controller.yaml", text)


def read(*texts: str, environment: str | None = None, project: str | None = None, every: bool = False) -> DesiredState:
    files = [manifest(f"deployments/{index}.yaml", text) for index, text in enumerate(texts)]
    reader = ManifestReader(environment, all_environments=every)
    return reader.read(files, NOW, None if project is None else project_file(project))


def document(state: DesiredState, name: str = "nightly") -> dict[str, Any]:
    assert state.findings == ()
    return dict(state.deployments[name].document)


def at(finding: Finding) -> tuple[str, str, int, int, str]:
    return (finding.code, finding.file, finding.line, finding.column, finding.path)


def errors(state: DesiredState) -> list[tuple[str, str, int, int, str]]:
    return [at(finding) for finding in state.findings]


def test_without_an_environment_the_document_only_loses_its_overlays() -> None:
    found = document(read(NIGHTLY))
    assert found["parameters"] == {"region": "eu", "days": 1}
    assert "environments" not in found
    assert read(NIGHTLY).deployments["nightly"].spec_digest == (
        read(NIGHTLY.partition("environments:")[0]).deployments["nightly"].spec_digest
    )


def test_an_overlay_merges_replaces_and_removes() -> None:
    staging = document(read(NIGHTLY, environment="staging"))
    assert staging["parameters"] == {"region": "test", "days": 1}
    assert "schedule" not in staging
    prod = document(read(NIGHTLY, environment="prod"))
    assert (prod["timeout"], prod["schedule"]) == ("2h", {"cron": "0 3 * * *", "timezone": "Europe/Berlin"})


def test_later_layers_win() -> None:
    plain = document(read(NIGHTLY, project=PROJECT))
    assert (plain["timeout"], plain["tags"]) == ("1h", ["sales"])
    assert plain["parameters"] == {"region": "eu", "days": 1, "verbose": True}
    prod = document(read(NIGHTLY, project=PROJECT, environment="prod"))
    assert (prod["timeout"], prod["queue"], "tags" in prod) == ("2h", "heavy", False)
    assert document(read("name: a\nflow: f.py:m\n", project=PROJECT, environment="prod"), "a")["timeout"] == "4h"


def test_null_in_a_document_removes_a_default_and_is_a_value_elsewhere() -> None:
    text = "name: a\nflow: f.py:m\ntimeout:\nparameters: {region: null, other: null}\n"
    found = document(read(text, project=PROJECT), "a")
    assert "timeout" not in found
    assert found["parameters"] == {"other": None, "verbose": True}


PROD_ONLY = "environments:\n  prod: {defaults: {retries: {limit: 3}, parameters: {a: 1}, schedule: {interval: 1h}}}\n"


@pytest.mark.parametrize(
    ("said", "outside", "in_prod"),
    [
        ("retries: null", {}, {"parameters": {"a": 1}, "schedule": {"interval": "1h"}}),
        ("retries: {limit: null}", {"retries": {}}, {"parameters": {"a": 1}, "schedule": {"interval": "1h"}}),
        ("retries: {delay: null}", {"retries": {}}, {"retries": {"limit": 3}}),
        ("schedule: null", {}, {"retries": {"limit": 3}, "parameters": {"a": 1}}),
        ("schedule: {interval: 2h, start: null}", {"schedule": {"interval": "2h"}}, {"retries": {"limit": 3}}),
        ("parameters: {a: null, b: null}", {"parameters": {"b": None}}, {"parameters": {"b": None}}),
        ("environments: {prod: {timeout: null, retries: {delay: null}}}", {}, {"retries": {"limit": 3}}),
    ],
)
def test_null_for_a_default_of_one_environment_is_valid_in_all(
    said: str, outside: dict[str, Any], in_prod: dict[str, Any]
) -> None:
    text = f"name: a\nflow: f.py:m\n{said}\n"
    assert read(text, project=PROD_ONLY, every=True).findings == ()
    plain = document(read(text, project=PROD_ONLY), "a")
    assert {key: value for key, value in plain.items() if key not in ("name", "flow")} == outside
    assert document(read(text, project=PROD_ONLY, environment="prod"), "a").items() >= in_prod.items()


def test_a_default_skip_exit_code_applies_to_commands_only() -> None:
    project = "defaults: {skip_exit_code: 99}\nenvironments: {prod: {defaults: {skip_exit_code: 3}}}\n"
    by_flow, by_command = "name: a\nflow: f.py:m\n", "name: a\ncommand: ['true']\n"
    assert read(by_flow, project=project, every=True).findings == ()
    assert "skip_exit_code" not in document(read(by_flow, project=project, environment="prod"), "a")
    for environment, code in ((None, 99), ("prod", 3)):
        found = document(read(by_command, project=project, environment=environment), "a")
        assert found["skip_exit_code"] == code
    overlay = "environments: {prod: {flow: null, command: ['true']}}\n"
    assert document(read(by_flow + overlay, project=project, environment="prod"), "a")["skip_exit_code"] == 3
    (finding,) = read(by_flow + "environments: {prod: {skip_exit_code: 4}}\n", environment="prod").findings
    assert at(finding) == ("ConflictingKeys", "deployments/0.yaml", 3, 23, "$.environments.prod.skip_exit_code")


def test_null_in_environment_defaults_may_remove_nothing() -> None:
    project = "environments: {prod: {defaults: {timeout: null, retries: {delay: null, limit: 2}}}}\n"
    assert read("name: a\nflow: f.py:m\n", project=project, every=True).findings == ()
    found = document(read("name: a\nflow: f.py:m\n", project=project, environment="prod"), "a")
    assert found == {"name": "a", "flow": "f.py:m", "retries": {"limit": 2}}


def test_null_without_any_default_is_an_error_in_every_environment() -> None:
    for environment in (None, "prod"):
        state = read("name: a\nflow: f.py:m\ntimeout: null\n", project=PROD_ONLY, environment=environment)
        assert [finding.code for finding in state.findings] == ["WrongType"]


def test_a_removed_required_key_is_reported_at_the_null() -> None:
    project = "environments: {prod: {defaults: {flow: 'f.py:m'}}}\n"
    for environment in (None, "prod"):
        (finding,) = read("name: a\nflow: null\n", project=project, environment=environment).findings
        assert at(finding)[:4] == ("MissingKey", "deployments/0.yaml", 2, 1)


def test_a_finding_in_an_overlay_points_into_the_overlay() -> None:
    text = NIGHTLY.replace("0 3 * * *", "61 3 * * *")
    state = read(text, environment="prod")
    assert errors(state) == [
        ("InvalidSchedule", "deployments/0.yaml", 9, 27, "$.environments.prod.schedule.cron"),
    ]
    assert not state.deployments
    assert state.broken_files == {"deployments/0.yaml"}
    assert not read(text).findings


def test_all_environments_are_checked_without_repeated_findings() -> None:
    text = NIGHTLY.replace("0 3 * * *", "61 3 * * *").replace("region: test", "region: test}\n    colour: {a: 1")
    state = read(text + "resources: {memory: 1GiB}\ntimout: 1h\n", every=True)
    assert [(code, line) for code, _, line, _, _ in errors(state)] == [
        ("UnknownKey", 8),
        ("InvalidSchedule", 10),
        ("UnknownKey", 12),
    ]
    assert not state.deployments


@pytest.mark.parametrize(
    ("overlay_text", "column", "path"),
    [
        ("{flow: null}", 26, "$.environments.staging"),
        ("{schedule: {cron: null}}", 37, "$.environments.staging.schedule"),
        ("{schedule: {cron: null, day_or: null}}", 37, "$.environments.staging.schedule"),
    ],
)
def test_a_key_removed_by_an_overlay_is_reported_in_the_overlay(overlay_text: str, column: int, path: str) -> None:
    text = f"name: a\nflow: f.py:m\nschedule: {{cron: '* * * * *'}}\nenvironments: {{staging: {overlay_text}}}\n"
    (finding,) = read(text, every=True).findings
    assert at(finding) == ("MissingKey", "deployments/0.yaml", 4, column, path)


def test_a_key_removed_by_environment_defaults_is_reported_there() -> None:
    project = "defaults: {flow: f.py:m}\nenvironments:\n  prod: {defaults: {flow: null}}\n"
    (finding,) = read("name: a\n", project=project, every=True).findings
    assert at(finding) == ("MissingKey", "controller.yaml", 3, 21, "$.environments.prod.defaults")


def test_a_default_removed_by_a_document_is_reported_in_the_document() -> None:
    (finding,) = read("name: a\nflow: null\n", project="defaults: {flow: f.py:m}").findings
    assert at(finding)[:4] == ("MissingKey", "deployments/0.yaml", 2, 1)


@pytest.mark.parametrize(
    ("overlays", "expected"),
    [
        ("{staging: {name: b}}", ("InvalidOverlay", 3, 26, "$.environments.staging.name")),
        ("{staging: {environments: {}}}", ("InvalidOverlay", 3, 26, "$.environments.staging.environments")),
        ("{staging: [1]}", ("WrongType", 3, 25, "$.environments.staging")),
        ("{Staging: {}}", ("InvalidValue", 3, 16, "$.environments.Staging")),
        ("[staging]", ("WrongType", 3, 15, "$.environments")),
        ("{staging: {flow: 5, flow: 6}}", ("DuplicateKey", 3, 35, "$.environments.staging.flow")),
    ],
)
def test_an_invalid_overlay_is_an_error_in_every_environment(
    overlays: str, expected: tuple[str, int, int, str]
) -> None:
    text = f"name: a\nflow: f.py:m\nenvironments: {overlays}\n"
    code, line, column, path = expected
    assert (code, "deployments/0.yaml", line, column, path) in errors(read(text))


def test_an_undeclared_environment_applies_nothing() -> None:
    state = read(NIGHTLY, environment="stagin", project="project: sales")
    (finding,) = state.findings
    assert (finding.code, finding.file, finding.hint) == (
        "UnknownEnvironment",
        "controller.yaml",
        "did you mean staging?",
    )
    assert not state.deployments
    assert state.broken_files == {"deployments/0.yaml"}
    assert state.declared_names == {"nightly"}
    assert [finding.code for finding in read(environment="prod").findings] == ["UnknownEnvironment"]


def test_one_file_of_many_need_not_declare_the_environment() -> None:
    reader = ManifestReader("prod", is_whole=False)
    assert set(reader.read([manifest("a.yaml", "name: a\nflow: f.py:m\n")], NOW).deployments) == {"a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("defaults: {timeout: soon}", ("InvalidDuration", 1, 21, "$.defaults.timeout")),
        ("defaults: {timout: 1h}", ("UnknownKey", 1, 12, "$.defaults.timout")),
        ("defaults: {name: a}", ("UnknownKey", 1, 12, "$.defaults.name")),
        ("defaults: {env: {PATH: x}}", ("ForbiddenEnvironment", 1, 18, "$.defaults.env.PATH")),
        ("defaults: {queue: havy}\nqueues: {heavy: {limit: 1}}", ("UnknownQueue", 1, 19, "$.defaults.queue")),
        ("environments: {prod: {defaults: {tags: x}}}", ("WrongType", 1, 40, "$.environments.prod.defaults.tags")),
        ("environments: {prod: {default: {}}}", ("UnknownKey", 1, 23, "$.environments.prod.default")),
        ("queues: {heavy: {limit: 0}}", ("InvalidValue", 1, 25, "$.queues.heavy.limit")),
        ("queues: {heavy: {}}", ("MissingKey", 1, 17, "$.queues.heavy")),
        ("project: My Project", ("InvalidValue", 1, 10, "$.project")),
        ("[a]", ("NotAMapping", 1, 2, "$")),
        ("project: a\n---\nproject: b", ("NotAMapping", 3, 1, "$")),
        ("project: [", ("InvalidYaml", 2, 1, "$")),
        ("project: a\nproject: a", ("DuplicateKey", 2, 1, "$.project")),
    ],
)
def test_a_broken_project_applies_nothing(text: str, expected: tuple[str, int, int, str]) -> None:
    state = read("name: a\nflow: f.py:m\n", "name: b\n", project=text)
    code, line, column, path = expected
    assert errors(state) == [(code, "controller.yaml", line, column, path)]
    assert not state.deployments
    assert state.broken_files == {"deployments/0.yaml", "deployments/1.yaml"}
    assert state.declared_names == {"a", "b"}


def test_a_refused_project_file_is_broken() -> None:
    refused = RefusedFile(path="controller.yaml", message="It is a link.")
    state = ManifestReader().read([manifest("a.yaml", "name: a\nflow: f.py:m\n")], NOW, refused)
    assert errors(state) == [("RefusedFile", "controller.yaml", 1, 1, "$")]
    assert state.broken_files == {"a.yaml"}


def test_an_empty_project_file_is_valid() -> None:
    assert document(read(NIGHTLY, project="# nothing yet\n")) == document(read(NIGHTLY))


def test_a_queue_must_be_declared() -> None:
    text = "name: a\nflow: f.py:m\nqueue: havy\n"
    (finding,) = (found for found in read(text, project=PROJECT).findings if found.code == "UnknownQueue")
    assert (finding.file, finding.line, finding.column, finding.hint) == (
        "deployments/0.yaml",
        3,
        8,
        "did you mean heavy?",
    )
    assert set(read(text.replace("havy", "heavy"), project=PROJECT).deployments) == {"a"}


def test_a_default_is_reported_once_and_a_conflict_with_it_at_the_document() -> None:
    texts = [f"name: {name}\nflow: f.py:m\n" for name in "ab"]
    (finding,) = read(*texts, project="defaults: {env: {API_TOKEN: abcdefgh}}").findings
    assert at(finding) == ("PlainSecret", "controller.yaml", 1, 29, "$.defaults.env.API_TOKEN")
    state = read(*texts, project="defaults: {command: [ls]}")
    assert [(code, file, line) for code, file, line, _, _ in errors(state)] == [
        ("ConflictingKeys", "deployments/0.yaml", 2),
        ("ConflictingKeys", "deployments/1.yaml", 2),
    ]


def test_the_line_of_a_deployment_is_its_own_first_line() -> None:
    state = read("# comment\nname: a\nflow: f.py:m\n", project="defaults: {timeout: 1h}")
    assert state.deployments["a"].line == 2


def test_a_changed_project_is_read_again_and_an_unchanged_one_is_not() -> None:
    reader = ManifestReader()
    files = [manifest("a.yaml", "name: a\nflow: f.py:m\n")]
    for timeout in ("1h", "2h"):
        found = reader.read(files, NOW, project_file(f"defaults: {{timeout: {timeout}}}"))
        assert found.deployments["a"].document["timeout"] == timeout
    parsed = reader.parsed
    assert reader.read(files, NOW, project_file("defaults: {timeout: 2h}")) is found
    assert reader.parsed == parsed
    assert "timeout" not in reader.read(files, NOW).deployments["a"].document
    assert reader.read([], NOW, project_file("defaults: {timout: 2h}")).findings


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("abc"), JSON))
def test_merging_follows_rfc_7396(target: dict[str, Any], patch: dict[str, Any]) -> None:
    left, right = (load(json.dumps(value).encode()).documents[0].root for value in (target, patch))
    merged = overlay(left, right)
    assert merged.value == merge_patch(target, patch)
    assert set(merged.keys) == set(merged.fields) == set(merged.value)
    assert (left.value, right.value) == (target, patch)
    plain = overlay(value_node(target), value_node(patch))
    assert repr(plain.value) == repr(merged.value)
