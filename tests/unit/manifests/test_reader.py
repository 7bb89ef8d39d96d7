"""The manifests of a revision become the desired state, and an error in one does not affect the others."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.manifests import overlays
from controller.manifests.build import BuildResult, build
from controller.manifests.file_results import MAX_FINDINGS_PER_FILE, QuickReader, read_file
from controller.manifests.parse_cache import ParsedFiles, load_file
from controller.manifests.project_file import Project
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.yaml.nodes import Document
from controller.model.deployments import CommandTarget, Deployment, FlowTarget
from controller.model.findings import Severity
from controller.model.schedules import At, Cron, Dst, Gap, Interval, Repeat
from controller.model.snapshots import ManifestFile, is_manifest

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"

Read = Callable[..., DesiredState]


def file(path: str, content: str, digest: str | None = None) -> ManifestFile:
    return ManifestFile(path=path, content=content.encode(), digest=digest or str(hash(content)))


def one(state: DesiredState) -> Deployment:
    assert state.findings == ()
    (deployment,) = state.deployments.values()
    return deployment


def places(state: DesiredState) -> list[tuple[str, str, int, int]]:
    return [(finding.code, finding.file, finding.line, finding.column) for finding in state.findings]


GOOD = "name: {}\nflow: flows/etl.py:main\n"


def test_every_key_is_read_into_the_deployment(read: Read) -> None:
    found = one(read((EXAMPLES / "positive" / "every_key.yaml").read_bytes()))
    assert (found.name, found.file, found.line) == ("nightly-sales", "deployments/a.yaml", 2)
    assert found.target == FlowTarget(path="flows/etl.py", name="main")
    assert (found.description, found.tags, found.version) == ("Load yesterday's sales", ("etl", "prod"), "1.4")
    assert found.parameters["nested"] == {"list": [1, 2.5, None, True, "text"]}
    assert (found.timeout, found.suspend) == (timedelta(hours=2), False)
    assert found.env == {"LOG_LEVEL": "INFO", "RETRIES": "3"}
    nightly, often, weekly, dates = found.schedules
    assert nightly.id == "nightly"
    assert nightly.rule == Cron(expression="30 2 * * mon-fri", day_or=False)
    assert (nightly.timezone, nightly.suspend, nightly.parameters) == ("Europe/Berlin", True, {"days": 1})
    assert nightly.dst == Dst(gap=Gap.SHIFT, repeat=Repeat.BOTH)
    assert nightly.start == datetime(2026, 1, 1)  # noqa: DTZ001 - local to the schedule's zone
    assert isinstance(often.rule, Interval)
    assert often.rule.every == timedelta(minutes=90)
    assert weekly.timezone == "America/New_York"
    assert isinstance(dates.rule, At)
    assert len(dates.rule.times) == 2


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("flow: a/../flows/x.py:My flow-1", FlowTarget(path="flows/x.py", name="My flow-1")),
        ("flow_location: x.py", FlowTarget(path="deployments/x.py")),
        ("flow_location: ./x.py\nflow_name: f", FlowTarget(path="deployments/x.py", name="f")),
        ("flow_location: ../flows/x.py", FlowTarget(path="flows/x.py")),
        ("command: [ls, -l, '']", CommandTarget(argv=("ls", "-l", ""))),
    ],
)
def test_targets_are_resolved_from_the_repository_root(read: Read, said: str, target: object) -> None:
    assert one(read(f"name: a\n{said}")).target == target


def test_an_invalid_document_does_not_affect_others_in_its_file(read: Read) -> None:
    state = read(f"{GOOD.format('a')}---\nname: b\n---\n{GOOD.format('c')}")
    assert set(state.deployments) == {"a", "c"}
    assert state.declared_names == {"a", "b", "c"}
    assert state.broken_files == {"deployments/a.yaml"}
    assert (state.file_count, state.document_count) == (1, 3)


def test_a_file_that_is_not_yaml_is_broken_as_a_whole(read: Read) -> None:
    state = read(f"{GOOD.format('a')}---\nname: *\n", b_yaml=GOOD.format("b"))
    assert set(state.deployments) == {"b"}
    assert state.broken_files == {"deployments/a.yaml"}
    assert (state.file_count, state.document_count) == (2, 1)


def test_a_duplicate_name_is_reported_twice_and_applied_from_neither(read: Read) -> None:
    state = read(GOOD.format("a"), b_yaml="# c\n" + GOOD.format("a"), c_yaml=GOOD.format("c"))
    assert set(state.deployments) == {"c"}
    assert places(state) == [
        ("DuplicateName", "deployments/a.yaml", 1, 7),
        ("DuplicateName", "deployments/b.yaml", 2, 7),
    ]
    assert "deployments/b.yaml:2" in state.findings[0].message
    assert state.broken_files == {"deployments/a.yaml", "deployments/b.yaml"}


def test_names_that_differ_only_in_case_are_reported_at_both_places(read: Read) -> None:
    state = read(GOOD.format("Sales.eu"), b_yaml="# c\n" + GOOD.format("sales.EU"), c_yaml=GOOD.format("sales-eu"))
    assert set(state.deployments) == {"sales-eu"}
    assert [(finding.code, finding.message, finding.deployment) for finding in state.findings] == [
        (
            "DuplicateName",
            "the name Sales.eu differs only in case from sales.EU at deployments/b.yaml:2",
            "Sales.eu",
        ),
        (
            "DuplicateName",
            "the name sales.EU differs only in case from Sales.eu at deployments/a.yaml:1",
            "sales.EU",
        ),
    ]
    assert state.broken_files == {"deployments/a.yaml", "deployments/b.yaml"}


def test_renamed_from_must_differ_in_more_than_case(read: Read) -> None:
    [finding] = read(GOOD.format("Sales") + "renamed_from: sales\n").findings
    assert (finding.code, finding.path, finding.deployment) == ("CaseOnlyRename", "$.renamed_from", "Sales")
    assert finding.hint is not None
    assert finding.hint.startswith("write name: sales and remove renamed_from")
    assert not read(GOOD.format("sales")).findings


def test_renamed_from_names_a_declared_deployment_in_another_case(read: Read) -> None:
    [finding] = read(GOOD.format("orders") + "renamed_from: SALES\n", b_yaml=GOOD.format("sales")).findings
    assert (finding.code, finding.deployment) == ("RenamedFromDeclared", "orders")
    assert finding.message == "sales is still declared, so it was not renamed"


def test_only_the_first_of_two_equal_renames_is_accepted(read: Read) -> None:
    renamed = "renamed_from: old\n"
    state = read(GOOD.format("a") + renamed, b_yaml="# c\n" + GOOD.format("b") + renamed, c_yaml=GOOD.format("c"))
    assert set(state.deployments) == {"a", "c"}
    [finding] = state.findings
    assert (finding.code, finding.file, finding.deployment) == ("RenamedTwice", "deployments/b.yaml", "b")
    assert finding.message.startswith("the history of old already goes to the deployment at deployments/a.yaml:")


def test_an_invalid_document_also_claims_its_name(read: Read) -> None:
    state = read(GOOD.format("a"), b_yaml="name: a\n")
    assert not state.deployments
    assert {finding.code for finding in state.findings} == {"DuplicateName", "MissingKey"}


def test_a_name_is_valid_again_when_its_duplicate_is_removed(reader: ManifestReader) -> None:
    first, second = file("a.yaml", GOOD.format("a")), file("b.yaml", GOOD.format("a"))
    assert not reader.read([first, second], NOW).deployments
    assert set(reader.read([second], NOW).deployments) == {"a"}
    assert reader.parsed == 2


def test_only_changed_files_are_parsed_again(reader: ManifestReader) -> None:
    files = [file(f"{i}.yaml", GOOD.format(f"n{i}")) for i in range(5)]
    before = reader.read(files, NOW)
    assert reader.parsed == 5
    assert reader.read(files, NOW + timedelta(days=1)) == before
    assert reader.parsed == 5
    reader.read([*files[:4], file("4.yaml", GOOD.format("changed"))], NOW)
    assert reader.parsed == 6


def test_a_deleted_file_is_removed_from_the_cache(reader: ManifestReader) -> None:
    only = file("a.yaml", GOOD.format("a"))
    reader.read([only], NOW)
    assert not reader.read([], NOW).declared_names
    reader.read([only], NOW)
    assert reader.parsed == 2


def test_an_empty_file_gives_a_warning_and_is_not_broken(read: Read) -> None:
    state = read("# nothing yet\n")
    assert [(finding.code, finding.severity) for finding in state.findings] == [("EmptyFile", Severity.WARNING)]
    assert not state.broken_files


def test_files_beyond_the_limit_count_as_broken(reader: ManifestReader) -> None:
    state = reader.read([file(f"{i:05}.yaml", "", "same") for i in range(10_002)], NOW)
    errors = [finding for finding in state.findings if finding.severity is Severity.ERROR]
    assert [(finding.code, finding.file) for finding in errors] == [("TooManyFiles", "10000.yaml")]
    assert state.broken_files == {"10000.yaml", "10001.yaml"}
    assert (state.file_count, reader.parsed) == (10_002, 10_000)
    fewer = reader.read([file(f"{i:05}.yaml", "", "same") for i in range(10_000)], NOW)
    assert not fewer.broken_files
    assert reader.parsed == 10_000


def test_findings_come_in_the_order_of_the_files(read: Read) -> None:
    state = read("nam: x\nflwo: y", b_yaml="- 1", A_yaml="- 1")
    assert [finding.file for finding in state.findings] == sorted(finding.file for finding in state.findings)
    assert [finding.line for finding in state.findings if finding.file.endswith("/a.yaml")] == [1, 2]


def test_many_findings_are_truncated(read: Read) -> None:
    state = read("\n".join(f"- {{name: n{i}}}" for i in range(3000)))
    assert len(state.findings) == 201
    assert state.findings[-1].code == "TooManyFindings"
    assert state.document_count == 3000


def test_a_finding_carries_the_name_and_the_path(read: Read) -> None:
    (finding,) = read(f"{GOOD.format('a')}schedules: [{{cron: 5}}]").findings
    assert (finding.deployment, finding.path) == ("a", "$.schedules[0].cron")
    assert finding.hint == 'write it in quotes: "5"'


def test_the_digest_does_not_depend_on_formatting(read: Read) -> None:
    spellings = [
        "name: a\nflow: f.py:m\nparameters: {x: 1, y: [a]}",
        "# c\nparameters:\n  'y': [\"a\"]\n  x: 0x1\nflow: 'f.py:m'\nname: a",
        '{"flow": "f.py:m", "name": "a", "parameters": {"y": ["a"], "x": 1}}',
    ]
    digests = {one(read(text)).spec_digest for text in spellings}
    assert digests == {"sha256:940d60ec3ae3db398585b11c77465e92977b41142bff43c87444a984e0eca182"}


def test_the_digest_changes_with_the_values(read: Read) -> None:
    texts = [GOOD.format("a") + more for more in ("", "tags: []", "parameters: {x: 1}", "parameters: {x: '1'}")]
    assert len({one(read(text)).spec_digest for text in texts}) == 4


def test_an_unchanged_schedule_keeps_its_default_id(read: Read) -> None:
    def ids(*said: str) -> list[str]:
        text = GOOD.format("a") + "schedules:\n" + "".join(f"- {{{schedule}}}\n" for schedule in said)
        return [schedule.id for schedule in one(read(text)).schedules]

    (alone,) = ids("cron: 0 0 * * *, timezone: UTC")
    assert ids("interval: 1h", "timezone: UTC, cron: '0 0 * * *', suspend: true")[1] == alone
    assert ids("cron: 0 1 * * *, timezone: UTC") != [alone]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.yaml", True),
        ("a/b.yml", True),
        ("a/b.json", True),
        ("a/b.YAML", True),
        ("a.py", True),
        ("a.pyc", False),
        (".a.yaml", False),
        ("a/.b/c.yaml", False),
        ("yaml", False),
    ],
)
def test_manifests_are_recognized_by_their_names(path: str, expected: bool) -> None:
    assert is_manifest(path) is expected


words = st.sampled_from(["name", "flow", "schedule", "schedules", "cron", "at", "env", "tags", "timeout", "x", "dst"])
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | words
anything: st.SearchStrategy[Any] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=5), max_leaves=25
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(words, anything) | anything)
def test_any_value_gives_a_deployment_or_findings(read: Read, value: object) -> None:
    state = read(repr(value).replace("None", "null"))
    assert bool(state.findings) or bool(state.deployments) or state.document_count == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_findings_or_deployments(read: Read, content: bytes) -> None:
    state = read(content)
    assert state.findings or state.deployments


FLOODS = [
    "- {a: 1, a: 2}\n" * 3000,
    "- {}\n" * 3000,
    "a: 1\n" * 3000,
    "{" + ", ".join(f"k{i}y: 1" for i in range(9000)) + "}",
    GOOD.format("a") + "schedules:\n" + "- {cron: x}\n" * 5000,
    GOOD.format("a") + "schedules:\n" + "- {cron: '0 0 29 2 *', id: a}\n" * 100,
    GOOD.format("a") + "env: {" + ", ".join(f"LD_{i}: x" for i in range(9000)) + "}",
    "- &a {name: a, flow: 'f.py:m'}\n" + "- *a\n" * 3000,
    GOOD.format("a") + "tags: [" + "é, " * 15_000 + "]",
]


@pytest.mark.parametrize("text", FLOODS, ids=range(len(FLOODS)))
def test_large_inputs_are_read_in_reasonable_time(read: Read, text: str) -> None:
    began = time.process_time()
    state = read(text)
    assert state.findings
    assert len(state.findings) <= 2 * MAX_FINDINGS_PER_FILE + 6001
    assert time.process_time() - began < 5


def test_each_document_is_parsed_once_and_built_once_per_environment_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[str] = []

    def count(document: Document, *args: Any, **options: Any) -> BuildResult:
        built.append(document.root.value["name"])
        return build(document, *args, **options)

    monkeypatch.setattr(overlays, "build", count)
    reader = ManifestReader(all_environments=True)
    staging = GOOD.format("b") + "environments: {staging: {tags: [x]}}\n"
    reader.read([file("a.yaml", GOOD.format("a")), file("b.yaml", staging)], NOW)
    assert (reader.parsed, reader.built, sorted(built)) == (2, 2, ["a", "b", "b"])


def test_only_files_with_findings_are_read_with_positions_if_nothing_is_stored() -> None:
    parsed = ParsedFiles()
    reader = ManifestReader(files=parsed, is_stored=False)
    files = [file(f"{number}.yaml", GOOD.format(f"n{number}")) for number in range(20)]
    assert reader.read(files, NOW).findings == ()
    assert parsed.count == 0
    files[3] = file("3.yaml", GOOD.format("n3") + "tags: [x\n")
    assert places(reader.read(files, NOW)) == [("InvalidYaml", "3.yaml", 4, 1)]
    assert parsed.count == 1


def test_a_finding_of_several_files_has_positions_if_nothing_is_stored() -> None:
    parsed = ParsedFiles()
    reader = ManifestReader(files=parsed, is_stored=False)
    state = reader.read([file("a.yaml", GOOD.format("a")), file("b.yaml", f"\n{GOOD.format('a')}")], NOW)
    assert places(state) == [("DuplicateName", "a.yaml", 1, 7), ("DuplicateName", "b.yaml", 2, 7)]
    assert [finding.message.rpartition(" ")[2] for finding in state.findings] == ["b.yaml:2", "a.yaml:1"]
    assert parsed.count == 2


def test_where_many_files_have_findings_most_are_read_only_once() -> None:
    attempts: list[str] = []

    def load_values(each: ManifestFile) -> None:
        attempts.append(each.path)

    options = overlays.BuildOptions(project=Project(), environment=None, all_environments=False)
    quick = QuickReader(load_values, partial(read_file, load=load_file, now=NOW, options=options), NOW, options)
    results = [quick.read(file(f"{number}.yaml", GOOD.format(f"n{number}"))) for number in range(100)]
    assert [each.documents[0].name for each in results] == [f"n{number}" for number in range(100)]
    assert len(attempts) < 20


def test_changed_files_are_read_through_the_given_map(reader: ManifestReader) -> None:
    calls: list[list[str]] = []

    def record(function: Callable[[ManifestFile], Any], files: Sequence[ManifestFile]) -> list[Any]:
        calls.append([each.path for each in files])
        return [function(each) for each in files]

    mapped = ManifestReader(map_files=record)
    files = [file(f"{i}.yaml", GOOD.format(f"n{i}")) for i in range(3)]
    assert mapped.read(files, NOW) == reader.read(files, NOW)
    files[1] = file("1.yaml", GOOD.format("changed"))
    assert mapped.read(files, NOW) == reader.read(files, NOW)
    assert calls == [["0.yaml", "1.yaml", "2.yaml"], ["1.yaml"]]
    assert mapped.parsed == reader.parsed == 4
