"""A document's flow is looked up in the code of its revision, and the parameters are checked against its signature."""

from datetime import UTC, datetime

import pytest

from controller.errors import SourceError
from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.findings import Finding, Severity
from controller.model.python_environments import MAX_FILE_BYTES
from controller.model.snapshots import ManifestFile
from tests.unit.manifests.conftest import manifest
from tests.written_code import WrittenCode

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FLOW = "from typing import List\ndef main(nums: List[int], region: str = 'eu'): ...\n"
CODE = WrittenCode({"flows/etl.py": FLOW, "flows/two.py": "def one(): ...\ndef two(a): ...\n", "flows/bad.py": "def ("})


def read(*texts: str, code: WrittenCode = CODE, every: bool = False, environment: str | None = None) -> DesiredState:
    files = [manifest(f"deployments/{index}.yaml", text) for index, text in enumerate(texts)]
    return ManifestReader(environment, all_environments=every).read(files, NOW, code=code)


def at(finding: Finding) -> tuple[str, int, int, str]:
    return (finding.code, finding.line, finding.column, finding.path)


def found(text: str, *, code: WrittenCode = CODE, every: bool = False) -> list[tuple[str, int, int, str]]:
    return [at(finding) for finding in read(text, code=code, every=every).findings]


def test_a_string_for_a_list_parameter_is_an_error_with_a_hint() -> None:
    (finding,) = read('name: a\nflow: flows/etl.py:main\nparameters:\n  nums: "[1, 2, 3, 4]"\n').findings
    assert at(finding) == ("WrongParameterType", 4, 9, "$.parameters.nums")
    assert finding.hint == "write it as a YAML list: [1, 2, 3, 4]"
    assert finding.deployment == "a"


@pytest.mark.parametrize("nums", ["[1, 2]", '["1", 2]', "[]"])
def test_convertible_parameters_are_accepted(nums: str) -> None:
    state = read(f"name: a\nflow: flows/etl.py:main\nparameters: {{nums: {nums}}}\n")
    assert state.findings == ()
    assert set(state.deployments) == {"a"}


@pytest.mark.parametrize(
    ("target", "finding"),
    [
        ("flow: flows/gone.py:main", ("FlowFileMissing", 2, 7, "$.flow")),
        ("flow: flows/etl.py:mian", ("FlowNotFound", 2, 7, "$.flow")),
        ("flow: flows/bad.py:main", ("FlowFileInvalid", 2, 7, "$.flow")),
        ("flow_location: ../flows/gone.py", ("FlowFileMissing", 2, 16, "$.flow_location")),
        ("flow_location: ../flows/two.py", ("AmbiguousFlow", 2, 16, "$.flow_location")),
        ("flow_location: ../flows/two.py\nflow_name: three", ("FlowNotFound", 3, 12, "$.flow_name")),
    ],
)
def test_a_missing_flow_is_one_finding_at_the_key_that_names_it(
    target: str, finding: tuple[str, int, int, str]
) -> None:
    state = read(f"name: a\n{target}\n")
    assert [at(one) for one in state.findings] == [finding]
    assert not state.deployments


def test_a_misspelt_flow_names_the_python_line_and_the_nearest_name() -> None:
    (finding,) = read("name: a\nflow: flows/etl.py:mian\n").findings
    assert finding.message == "flows/etl.py:2: this file has no flow mian"
    assert finding.hint == "did you mean main? the file defines main"


def test_findings_point_at_the_invalid_item_of_a_list() -> None:
    assert found("name: a\nflow: flows/etl.py:main\nparameters:\n  nums: [1, x]\n  regoin: eu\n") == [
        ("WrongParameterType", 4, 13, "$.parameters.nums[1]"),
        ("UnknownParameter", 5, 3, "$.parameters.regoin"),
    ]


def test_a_parameter_missing_from_all_schedules_is_reported_once() -> None:
    schedules = "schedules:\n  - interval: 2h\n  - interval: 3h\n"
    assert found(f"name: a\nflow: flows/etl.py:main\nparameters:\n  region: eu\n{schedules}") == [
        ("MissingParameter", 4, 3, "$.parameters")
    ]
    assert found(f"name: a\nflow: flows/etl.py:main\n{schedules}") == [("MissingParameter", 1, 1, "$")]


def test_a_parameter_missing_from_one_schedule_is_reported_there() -> None:
    assert found(
        "name: a\nflow: flows/etl.py:main\nschedules:\n"
        "  - {interval: 2h, parameters: {nums: [1]}}\n  - {interval: 3h, parameters: {region: us}}\n"
    ) == [("MissingParameter", 5, 5, "$.schedules[1]")]


def test_an_invalid_value_is_reported_once_where_it_is_written() -> None:
    assert found(
        "name: a\nflow: flows/etl.py:main\nparameters: {nums: 1}\nschedules:\n  - interval: 2h\n"
        "  - {interval: 3h, parameters: {nums: [a]}}\n  - interval: 5h\n"
    ) == [
        ("WrongParameterType", 3, 20, "$.parameters.nums"),
        ("WrongParameterType", 6, 40, "$.schedules[1].parameters.nums[0]"),
    ]


def test_a_missing_parameter_is_a_warning_without_schedules() -> None:
    state = read("name: a\nflow: flows/etl.py:main\n")
    assert [(finding.code, finding.severity) for finding in state.findings] == [("MissingParameter", Severity.WARNING)]
    assert set(state.deployments) == {"a"}


@pytest.mark.parametrize(
    ("overlay", "finding"),
    [
        ("{parameters: {nums: null}}", ("MissingParameter", 6, 23, "$.environments.prod.parameters")),
        ("{parameters: null}", ("MissingParameter", 6, 10, "$.environments.prod")),
        ("{flow: flows/two.py:two}", ("MissingParameter", 4, 13, "$.parameters")),
    ],
)
def test_a_parameter_removed_by_an_overlay_is_reported_there(overlay: str, finding: tuple[str, int, int, str]) -> None:
    text = "name: a\nflow: flows/etl.py:main\nschedule: {interval: 1h}\nparameters: {nums: [1]}\nenvironments:\n"
    assert finding in found(f"{text}  prod: {overlay}\n", every=True)


def test_a_finding_of_an_environment_points_into_its_overlay() -> None:
    text = "name: a\nflow: flows/etl.py:main\nparameters: {nums: [1]}\nenvironments:\n  prod: {parameters: {nums: x}}\n"
    assert found(text, every=True) == [("WrongParameterType", 5, 29, "$.environments.prod.parameters.nums")]
    assert found(text) == []


def test_other_faults_do_not_hide_parameter_problems() -> None:
    assert found("name: a\nflow: flows/etl.py:main\nparameters: {nums: x}\nschedule: {cron: nope}\n") == [
        ("WrongParameterType", 3, 20, "$.parameters.nums"),
        ("InvalidSchedule", 4, 18, "$.schedule.cron"),
    ]


def test_a_file_is_read_once_for_all_deployments_and_again_when_it_changed() -> None:
    code = WrittenCode({"flows/etl.py": FLOW})
    reader = ManifestReader()
    files = [
        manifest(f"deployments/{index}.yaml", f"name: a{index}\nflow: flows/etl.py:main\nparameters: {{nums: [1]}}\n")
        for index in range(10)
    ]
    first = reader.read(files, NOW, code=code)
    assert (code.was_read, reader.parsed, len(first.deployments)) == (["flows/etl.py"], 10, 10)
    assert reader.read(files, NOW, code=code) is first
    assert (code.was_read, reader.parsed) == (["flows/etl.py"], 10)
    code.files["flows/etl.py"] = b"def main(numbers): ..."
    second = reader.read(files, NOW, code=code)
    assert {finding.code for finding in second.findings} == {"UnknownParameter"}
    assert (len(code.was_read), reader.parsed, len(second.deployments)) == (2, 20, 0)


def test_the_cache_of_python_files_is_bounded_by_their_size() -> None:
    code = WrittenCode({f"flows/{n}.py": f"def main(): ...\n# {n}" + "#" * 200_000 for n in range(6)})
    reader = ManifestReader()
    texts = [f"name: a{n}\nflow: flows/{n}.py:main\n" for n in range(6)]

    def was_read() -> list[str]:
        code.was_read.clear()
        reader.read([manifest(f"deployments/{n}.yaml", text) for n, text in enumerate(texts)], NOW, code=code)
        return code.was_read

    assert len(was_read()) == 6
    texts[5] += "description: asked for last\n"
    assert was_read() == []
    texts[0] += "description: asked for first\n"
    assert was_read() == ["flows/0.py"]


def test_a_file_that_is_too_large_is_skipped_silently() -> None:
    code = WrittenCode({"flows/etl.py": b"#" * (MAX_FILE_BYTES + 1)})
    assert read("name: a\nflow: flows/etl.py:main\n", code=code).findings == ()
    assert code.was_read == []


def test_unreadable_code_raises_source_error() -> None:
    class Unreachable(WrittenCode):
        def read(self, path: str) -> bytes:
            raise SourceError(f"{path} can't be read.")

    file = ManifestFile(path="deployments/a.yaml", content=b"name: a\nflow: flows/etl.py:main\n", digest="1")
    with pytest.raises(SourceError):
        ManifestReader().read([file], NOW, code=Unreachable({"flows/etl.py": FLOW}))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("env: {DB_PASSWORD: correct-horse}", "$.env.DB_PASSWORD"),
        ("env: {X: AKIAABCDEFGHIJKLMNOP}", "$.env.X"),
        ("parameters: {url: 'postgres://me:hunter2@db/x'}", "$.parameters.url"),
        ("parameters: {api_key: abcdefgh}", "$.parameters.api_key"),
        ("parameters: {password: aB3_xK9_qq}", "$.parameters.password"),
        ("parameters: {secret_key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE}", "$.parameters.secret_key"),
        ("parameters: {token: 5f2b-77aa-91c0}", "$.parameters.token"),
        ("parameters: {password: hunter2}", "$.parameters.password"),
    ],
)
def test_a_plain_secret_is_a_warning_that_does_not_repeat_it(text: str, path: str) -> None:
    state = read(f"name: a\ncommand: [x]\n{text}\n")
    (finding,) = state.findings
    assert (finding.code, finding.severity, finding.path) == ("PlainSecret", Severity.WARNING, path)
    assert not any(part in finding.message for part in ("horse", "AKIA", "hunter2", "abcdefgh", "xK9", "wJal", "77aa"))
    assert set(state.deployments) == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        "env: {TOKEN_FILE: /run/x}",
        "env: {TOKEN: $OTHER}",
        "parameters: {tokens: 12345}",
        "env: {KEYBOARD: dvorak}",
        "parameters: {database_secret_key: name_of_a_key}",
        "parameters: {db_password: SALES_DB_PASSWORD}",
        "parameters: {secret: prod-db-secret}",
        "parameters: {api_key: 'op://team/service/key'}",
        "parameters: {secret: 'arn:aws:secretsmanager:eu-west-1:1234:secret:sales'}",
        "parameters: {secret: projects/sales/secrets/db}",
        "parameters: {token: 'vault:secret/data/sales#token'}",
        "parameters: {password: '{{ db_password }}'}",
        "parameters: {password: 'env:DB_PASSWORD'}",
    ],
)
def test_a_reference_to_a_secret_gives_no_warning(text: str) -> None:
    assert read(f"name: a\ncommand: [x]\n{text}\n").findings == ()


def test_a_missing_working_directory_is_a_finding_at_its_value() -> None:
    flow = "flow: flows/etl.py:main\nparameters: {nums: [1]}"
    for target in (flow, "command: [ls]"):
        (finding,) = read(f"name: a\n{target}\nworking_directory: nope\n").findings
        line = 3 + target.count("\n")
        assert at(finding) == ("WorkingDirectoryMissing", line, 20, "$.working_directory")
        assert finding.message == "directory nope does not exist"
        assert not found(f"name: a\n{target}\nworking_directory: flows\n")
    assert [code for code, *_ in found("name: a\ncommand: [ls]\nworking_directory: flows/etl.py\n")] == [
        "WorkingDirectoryMissing"
    ]


def test_a_working_directory_is_looked_for_in_every_environment() -> None:
    text = (
        "name: a\ncommand: [ls]\nworking_directory: flows\n"
        "environments:\n  prod:\n    working_directory: nope\n  test: {}\n"
    )
    assert found(text, every=True) == [
        ("WorkingDirectoryMissing", 6, 24, "$.environments.prod.working_directory"),
    ]
    assert found(text) == []
    state = read(text, environment="prod")
    assert [finding.code for finding in state.findings] == ["WorkingDirectoryMissing"]


def test_a_changed_working_directory_is_noticed_without_manifest_changes() -> None:
    reader = ManifestReader()
    files = [manifest("deployments/a.yaml", "name: a\ncommand: [ls]\nworking_directory: reports\n")]
    without, with_it = WrittenCode({"flows/etl.py": FLOW}), WrittenCode({"reports/keep": ""})
    codes = [[one.code for one in reader.read(files, NOW, code=code).findings] for code in (without, with_it, without)]
    assert codes == [["WorkingDirectoryMissing"], [], ["WorkingDirectoryMissing"]]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("command: [python, x.py]\nenv: {PYTHONPATH: src}", "write import_paths: [src]"),
        ("command: [cat]\nenv: {LD_LIBRARY_PATH: 'a b'}", 'write command: [env, "LD_LIBRARY_PATH=a b", cat]'),
        ("flow: f.py:m\nenv: {PYTHONPATH: src}", "write import_paths: [src]"),
        ("flow: f.py:m\nenv: {CONTROLLER_X: a}", "choose another name"),
        ("flow: f.py:m\nenv: {PATH: /opt/bin}", "the full path of the program in command"),
    ],
)
def test_a_forbidden_variable_has_a_hint_with_the_same_effect(text: str, hint: str) -> None:
    [finding] = [one for one in read(f"name: a\n{text}\n").findings if one.code == "ForbiddenEnvironment"]
    assert hint in (finding.hint or "")
    if hint.startswith("write command"):
        assert set(read(f"name: a\n{hint.removeprefix('write ')}\n").deployments) == {"a"}
