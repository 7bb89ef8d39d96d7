"""A document with a matrix declares one deployment for each combination of its values."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.manifests import file_results
from controller.manifests.build import build_deployment
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.yaml.dump import as_yaml
from controller.model.findings import Finding, Severity
from tests.thoroughness import scaled
from tests.unit.manifests.conftest import Read, manifest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SALES = """\
name: sales-{region}-{tier}
flow: flows/sales.py:main
description: Sales of {region}, {unknown} braces stay
matrix:
  region: [eu, us]
  tier: [a, b]
  exclude: [{region: us, tier: b}]
parameters: {region: {from: matrix.region}, day: {from: due_time}}
tags: [sales, "region-{region}", {from: matrix.tier}]
env: {TIER: {from: matrix.tier}}
"""


def read_in(environment: str | None, *texts: str, project: str | None = None, every: bool = False) -> DesiredState:
    files = [manifest(f"deployments/{index}.yaml", text) for index, text in enumerate(texts)]
    reader = ManifestReader(environment, all_environments=every)
    return reader.read(files, NOW, None if project is None else manifest("controller.yaml", project))


def at(finding: Finding) -> tuple[str, int, int, str]:
    return finding.code, finding.line, finding.column, finding.path


def test_each_combination_is_an_ordinary_deployment(read: Read) -> None:
    state = read(SALES)
    assert state.findings == ()
    assert list(state.deployments) == ["sales-eu-a", "sales-eu-b", "sales-us-a"]
    deployment = state.deployments["sales-us-a"]
    assert deployment.matrix == {"region": "us", "tier": "a"}
    assert deployment.parameters == {"region": "us", "day": {"from": "due_time"}}
    assert deployment.tags == ("sales", "region-us", "a")
    assert deployment.env == {"TIER": "a"}
    assert deployment.description == "Sales of us, {unknown} braces stay"
    assert (deployment.file, deployment.line) == ("deployments/a.yaml", 1)
    assert len({each.spec_digest for each in state.deployments.values()}) == 3
    assert state.document_count == 3


def test_a_stored_document_builds_the_same_deployment_and_is_a_manifest(read: Read) -> None:
    for deployment in read(SALES).deployments.values():
        assert build_deployment(deployment.document, deployment.file, deployment.line) == deployment
        again = read(as_yaml([dict(deployment.document)])).deployments[deployment.name]
        assert again.spec_digest == deployment.spec_digest


def test_another_value_changes_no_other_deployment(read: Read) -> None:
    before, after = read(SALES).deployments, read(SALES.replace("[eu, us]", "[ap, eu, us]")).deployments
    assert after.keys() - before.keys() == {"sales-ap-a", "sales-ap-b"}
    assert all(after[name].spec_digest == deployment.spec_digest for name, deployment in before.items())


def test_upstreams_and_triggers_have_placeholders(read: Read) -> None:
    state = read(
        """\
name: report-{region}
flow: flows/report.py:main
matrix: {region: [eu, us]}
after: ["load-{region}", {deployment: "audit-{region}", on: finished}]
parameters: {path: {from: "load-{region}.result.path"}}
""",
        b_yaml="name: load-{x}\ncommand: [a]\nmatrix: {x: [eu, us]}\n",
        c_yaml="name: audit-{x}\ncommand: [a]\nmatrix: {x: [eu, us]}\n",
    )
    assert state.findings == ()
    report = state.deployments["report-us"]
    assert [upstream.deployment for upstream in report.after.upstreams] == ["load-us", "audit-us"]
    assert report.parameters == {"path": {"from": "load-us.result.path"}}


def test_included_combinations_are_a_table(read: Read) -> None:
    state = read(
        """\
name: sales-{region}
command: [load]
matrix: {include: [{region: eu, hour: "0 2 * * *"}, {region: us, hour: "0 8 * * *"}]}
schedule: {cron: {from: matrix.hour}}
"""
    )
    assert state.findings == ()
    crons = [deployment.document["schedule"]["cron"] for deployment in state.deployments.values()]
    assert crons == ["0 2 * * *", "0 8 * * *"]


def test_defaults_and_overlays_apply_before_the_expansion() -> None:
    project = "defaults: {parameters: {zone: {from: matrix.region}}}\nenvironments: {prod: {}, test: {}}\n"
    text = SALES + "environments:\n  test: {matrix: {region: [eu], exclude: null}, queue: default}\n"
    prod, test = (read_in(name, text, project=project) for name in ("prod", "test"))
    assert len(prod.deployments) == 3
    assert list(test.deployments) == ["sales-eu-a", "sales-eu-b"]
    assert test.deployments["sales-eu-a"].parameters["zone"] == "eu"


@pytest.mark.parametrize(
    ("changed", "by", "expected"),
    [
        ("from: matrix.tier}]", "from: matrix.teir}]", ("UnknownMatrixKey", 9, 41, "$.tags[2].from")),
        ("-{tier}", "-{teir}", ("UnknownMatrixKey", 1, 7, "$.name")),
        ("tier: b}]", "teir: b}]", ("UnknownMatrixKey", 7, 26, "$.matrix.exclude[0].teir")),
        ("-{tier}", "", ("DuplicateName", 1, 7, "$.name")),
        ("[eu, us]", "[us, eu, eu]", ("DuplicateName", 1, 7, "$.name")),
        ("[eu, us]", "[]", ("InvalidValue", 5, 11, "$.matrix.region")),
        ("[eu, us]", "eu", ("WrongType", 5, 11, "$.matrix.region")),
        ("[eu, us]", "[{a: b}]", ("WrongType", 5, 12, "$.matrix.region[0]")),
        ("region: [eu, us]", "re-gion: [eu]", ("InvalidValue", 5, 3, "$.matrix['re-gion']")),
        ("[{region: us, tier: b}]", "[{}]", ("InvalidMatrix", 5, 3, "$.matrix")),
        ("{from: matrix.tier}]", "{from: matrix.tier, format: x}]", ("InvalidReference", 9, 54, "$.tags[2].format")),
        ("exclude: [{region: us, tier: b}]", "include: [{tier: b}]", ("InvalidMatrix", 7, 13, "$.matrix.include[0]")),
    ],
)
def test_an_invalid_matrix_is_reported_once_in_the_document(
    read: Read, changed: str, by: str, expected: tuple[str, int, int, str]
) -> None:
    state = read(SALES.replace(changed, by))
    assert [at(finding) for finding in state.findings] == [expected]
    assert state.deployments == {}
    assert state.broken_files == {"deployments/a.yaml"} == set(state.unclear_files)


def test_a_misspelt_key_gets_the_right_one_as_a_hint(read: Read) -> None:
    (finding,) = read(SALES.replace("matrix.tier}]", "matrix.teir}]")).findings
    assert (finding.message, finding.hint) == ("the matrix has no key 'teir'", "did you mean tier?")


def test_clashing_names_are_named_with_their_combinations(read: Read) -> None:
    (finding,) = read(SALES.replace("-{tier}", "")).findings
    assert finding.message == "{region: eu, tier: a} and {region: eu, tier: b} both get the name sales-eu"
    assert finding.hint == "add {tier} to the name"


def test_an_exclude_that_matches_nothing_is_a_warning(read: Read) -> None:
    state = read(SALES.replace("us, tier: b}]", "ap}]"))
    assert [at(finding) for finding in state.findings] == [("UnusedExclude", 7, 13, "$.matrix.exclude[0]")]
    assert len(state.deployments) == 4


def test_a_problem_of_all_combinations_is_reported_once(read: Read) -> None:
    (finding,) = read(SALES + "timeuot: 1h\n").findings
    assert (finding.code, finding.line, finding.deployment) == ("UnknownKey", 11, "sales-eu-a")
    assert finding.message == "unknown key `timeuot`"


def test_a_value_that_is_invalid_in_some_combinations_is_reported_where_it_is_written(read: Read) -> None:
    state = read(SALES.replace("[a, b]", "[a, 7]").replace("tier: b}", "tier: 7}").replace("tags:", "#"))
    (finding,) = state.findings
    assert at(finding) == ("WrongType", 6, 13, "$.env.TIER")
    assert finding.message == "TIER must be a string, not a number (7) (in sales-eu-7)"
    assert set(state.deployments) == {"sales-eu-a", "sales-us-a"}
    assert state.declared_names == {"sales-eu-a", "sales-eu-7", "sales-us-a"}


def test_a_problem_in_another_environment_concerns_the_deployment_of_that_name() -> None:
    text = SALES + "environments: {prod: {matrix: {tier: [a, 7]}, env: {X: {from: matrix.tier}}}}\n"
    state = read_in(None, text, project="environments: {prod: {}}", every=True)
    assert any("sales-eu-7" in finding.message or finding.line == 11 for finding in state.findings)
    assert "sales-eu-b" in state.deployments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"name: a-{{x}}-{{y}}\ncommand: [a]\nmatrix: {{x: {list(range(40))}, y: {list(range(26))}}}",
            "the matrix has 1040 combinations; the limit is 1000, also counting excluded ones",
        ),
        (
            f"name: a-{{x}}\ncommand: [a]\nparameters: {{a: {list(range(1500))}}}\nmatrix: {{x: {list(range(1000))}}}",
            "the document has 1506 values and the matrix 1000 combinations, which is more than 1000000 values together",
        ),
    ],
)
def test_a_matrix_has_limits(read: Read, text: str, message: str) -> None:
    (finding,) = read(text).findings
    assert (finding.code, finding.message) == ("MatrixTooLarge", message)


def test_the_matrices_of_a_file_have_a_limit_together(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_results, "MAX_PER_FILE", 6)
    texts = [f"name: {letter}-{{x}}\ncommand: [a]\nmatrix: {{x: [1, 2, 3]}}\n" for letter in "abc"]
    state = read("---\n".join(texts))
    assert [(finding.code, finding.line) for finding in state.findings] == [("MatrixTooLarge", 11)]
    assert len(state.deployments) == 6


def test_an_unchanged_file_is_not_expanded_again() -> None:
    reader, values = ManifestReader(), list(range(1000))
    large = manifest("deployments/a.yaml", f"name: a-{{x}}\ncommand: [a]\nmatrix: {{x: {values}}}\n")
    first = reader.read([large], NOW)
    second = reader.read([large, manifest("deployments/b.yaml", "name: b\ncommand: [b]\n")], NOW)
    assert len(first.deployments) == 1000
    assert (reader.built, reader.parsed) == (1001, 2)
    assert all(second.deployments[name] is deployment for name, deployment in first.deployments.items())


WORDS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True)


@settings(max_examples=scaled(150), deadline=None)
@given(first=WORDS, second=WORDS, data=st.data())
def test_any_matrix_declares_the_product_without_what_is_excluded(
    first: list[str], second: list[str], data: st.DataObject
) -> None:
    entry = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from("abcdefg"), min_size=1)
    excluded: Sequence[dict[str, str]] = data.draw(st.lists(entry, max_size=4))
    rows = [dict(zip("xy", row, strict=True)) for row in product(first, second)]
    expected = [row for row in rows if not any(each.items() <= row.items() for each in excluded)]
    matrix = {"x": first, "y": second, "exclude": list(excluded)}
    state = read_in(None, as_yaml([{"name": "{x}-{y}", "command": ["a"], "matrix": matrix}]))
    assert list(state.deployments) == [f"{row['x']}-{row['y']}" for row in expected]
    assert [deployment.matrix for deployment in state.deployments.values()] == expected
    if not expected:
        assert [finding.code for finding in state.findings if finding.severity == "error"] == ["InvalidMatrix"]


def test_a_deployment_that_is_not_enabled_does_not_exist_in_its_environment() -> None:
    text = "name: a\ncommand: [a]\nenabled: false\nenvironments: {prod: {enabled: true}}\n"
    without, prod = (read_in(name, text) for name in (None, "prod"))
    assert (dict(without.deployments), without.findings, set(without.disabled)) == ({}, (), {"a"})
    assert without.declared_names == set()
    assert (set(prod.deployments), set(prod.disabled)) == ({"a"}, set())
    assert "enabled" not in prod.deployments["a"].document


def test_a_default_disables_deployments_of_an_environment() -> None:
    project = "environments: {test: {defaults: {enabled: false}}, prod: {}}"
    texts = ["name: a\ncommand: [a]\n", "name: b\ncommand: [b]\nenvironments: {test: {enabled: true}}\n"]
    assert set(read_in("test", *texts, project=project).deployments) == {"b"}
    assert set(read_in("prod", *texts, project=project).deployments) == {"a", "b"}


def test_a_deployment_that_is_not_enabled_must_be_valid_all_the_same(read: Read) -> None:
    state = read("name: a\ncommand: [a]\nenabled: false\ntimeout: soon\n")
    assert [finding.path for finding in state.findings] == ["$.timeout"]


def test_a_name_may_be_declared_twice_if_only_one_of_them_is_enabled() -> None:
    texts = ["name: a\ncommand: [a]\nenabled: false\n", "name: a\ncommand: [b]\n"]
    state = read_in(None, *texts)
    assert (set(state.deployments), state.findings, set(state.disabled)) == ({"a"}, (), set())
    assert state.deployments["a"].file == "deployments/1.yaml"


def test_a_column_of_the_matrix_can_disable_combinations(read: Read) -> None:
    state = read(
        "name: a-{x}\ncommand: [a]\nenabled: {from: matrix.on}\n"
        "matrix: {include: [{x: 1, on: true}, {x: 2, on: false}]}\n"
    )
    assert (set(state.deployments), set(state.disabled)) == ({"a-1"}, {"a-2"})


@pytest.mark.parametrize(
    ("line", "path", "hint"),
    [
        ('parameters: {region: "{region}"}', "$.parameters.region", "write {from: matrix.region}"),
        ('parameters: {deep: [{x: "{region}"}]}', "$.parameters.deep[0].x", "write {from: matrix.region}"),
        (
            'env: {REGION: "in-{region}"}',
            "$.env.REGION",
            "write {from: matrix.region}, or add a key with the text to the matrix",
        ),
        (
            'schedule: {cron: "@daily", parameters: {r: "{region}"}}',
            "$.schedule.parameters.r",
            "write {from: matrix.region}",
        ),
    ],
)
def test_a_placeholder_that_is_not_replaced_gives_a_warning(read: Read, line: str, path: str, hint: str) -> None:
    state = read(f"name: a-{{region}}\ncommand: [a]\nmatrix: {{region: [eu, us]}}\n{line}\n")
    [finding] = state.findings
    assert (finding.code, finding.severity, finding.path) == ("PlaceholderNotReplaced", Severity.WARNING, path)
    assert (finding.message, finding.hint) == ("{region} is not replaced here", hint)
    assert set(state.deployments) == {"a-eu", "a-us"}


def test_other_braces_and_keys_are_literal(read: Read) -> None:
    text = 'parameters: {a: "{other}", "{region}": 1}\nenv: {X: "{}"}\ndescription: "{region}"\n'
    assert read(f"name: a-{{region}}\ncommand: [a]\nmatrix: {{region: [eu]}}\n{text}").findings == ()


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("renamed_from: q", "RenamedTwice", "add {region} to renamed_from"),
        (
            "on: {webhook: {name: x, secret: {env: A}}}",
            "DuplicateWebhook",
            "add {region} to the name of the webhook",
        ),
    ],
)
def test_a_name_that_all_combinations_share_lacks_a_key(read: Read, line: str, code: str, hint: str) -> None:
    findings = read(f"name: a-{{region}}\ncommand: [a]\nmatrix: {{region: [eu, us]}}\n{line}\n").findings
    assert {(finding.code, finding.hint) for finding in findings} == {(code, hint)}
