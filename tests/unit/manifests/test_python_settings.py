"""`python`, `import_paths` and flows in modules are checked against the files of their revision."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from controller.errors import SourceError
from controller.manifests.python_requests import check_size, read_request
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.requirements_files import logical_lines
from controller.manifests.script_metadata import read_script_metadata
from controller.model.python_environments import MAX_FILE_BYTES, PythonRequest, RequirementsSource
from controller.model.snapshots import CodeFile
from controller.sources.safe_open import read_inside
from tests.unit.manifests.conftest import manifest
from tests.written_code import WrittenCode

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FLOW = "def main(region: str = 'eu'): ...\n"
SCRIPT = '# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "pandas==3.0.1",\n# ]\n# ///\n' + FLOW
PROJECT = """[project]
name = "acme"
version = "1"
requires-python = ">=3.11"
dependencies = ["pandas>=3,<4"]
[dependency-groups]
etl = ["duckdb"]
"""
LOCK = """version = 1
[[package]]
name = "acme"
version = "1"
source = { virtual = "." }
[package.metadata]
requires-dist = [{ name = "pandas", specifier = ">=3,<4" }]
[package.metadata.requires-dev]
etl = [{ name = "duckdb" }]
[[package]]
name = "pandas"
version = "3.0.1"
source = { registry = "https://index.example/simple" }
"""
HASHES = "pandas==3.0.1 \\\n    --hash=sha256:" + "a" * 64 + "\n"
FILES = {
    "flows/etl.py": FLOW,
    "flows/script.py": SCRIPT,
    "flows/requirements.txt": "-r base.txt\nduckdb==1.4.0  # fast\n",
    "flows/base.txt": HASHES,
    "pyproject.toml": PROJECT,
    "uv.lock": LOCK,
    "packages/member/pyproject.toml": '[project]\nname = "member"\nversion = "1"\ndependencies = ["pandas"]\n',
    "src/acme/__init__.py": "",
    "src/acme/daily.py": FLOW,
}
ETL = "name: a\nflow: flows/etl.py:main\n"


def read(text: str, **files: str) -> DesiredState:
    code = WrittenCode({**FILES, **{name.replace("__", "/"): content for name, content in files.items()}})
    return ManifestReader().read([manifest("deployments/a.yaml", text)], NOW, code=code)


def request_of(text: str, files: dict[str, str] | None = None) -> PythonRequest | None:
    code = WrittenCode({**FILES, **(files or {})})
    state = ManifestReader().read([manifest("deployments/a.yaml", text)], NOW, code=code)
    assert [finding for finding in state.findings if finding.severity == "error"] == []
    request = state.python_requests.get("a")
    again = read_request(state.deployments["a"], lambda path: {**FILES, **(files or {})}.get(path, "").encode() or None)
    assert request == again, "the engine asks for the environment that the pass asked for"
    return request


def findings(text: str, files: dict[str, str | None] | None = None) -> list[tuple[str, str, str]]:
    merged = {path: content for path, content in {**FILES, **(files or {})}.items() if content is not None}
    state = ManifestReader().read([manifest("deployments/a.yaml", text)], NOW, code=WrittenCode(merged))
    return [(finding.code, finding.path, finding.message) for finding in state.findings]


def test_a_deployment_without_python_asks_for_nothing() -> None:
    assert request_of(ETL) is None


def test_a_requirements_file_is_requested_with_the_files_that_it_includes() -> None:
    request = request_of(ETL + "python: {requirements: flows/requirements.txt}\n")
    assert request is not None
    assert request.source is RequirementsSource.FILE
    assert dict(request.files) == {path: FILES[path] for path in ("flows/requirements.txt", "flows/base.txt")}
    assert (request.entry, request.declared_at) == ("flows/requirements.txt", "flows/requirements.txt")


def test_the_digest_covers_included_files_but_not_the_place() -> None:
    text = ETL + "python: {requirements: flows/requirements.txt}\n"
    before, after = request_of(text), request_of(text, {"flows/base.txt": "pandas==3.0.2\n"})
    assert before is not None
    assert after is not None
    assert before.digest != after.digest
    assert before.digest == replace(before, declared_at="elsewhere.txt").digest


def test_a_list_is_requested_as_a_file_whatever_its_order() -> None:
    one = request_of(ETL + 'python: {requirements: [pandas==3.0.1, duckdb==1.4.0], version: "3.12"}\n')
    other = request_of(ETL + 'python: {requirements: [duckdb==1.4.0, pandas==3.0.1], version: "3.12"}\n')
    assert one is not None
    assert other is not None
    assert dict(one.files) == {"requirements.txt": "duckdb==1.4.0\npandas==3.0.1\n"}
    assert (one.version, one.digest) == ("3.12", other.digest)


def test_the_metadata_of_a_script_counts_unless_python_says_something() -> None:
    request = request_of("name: a\nflow: flows/script.py:main\n")
    assert request is not None
    assert (request.source, request.declared_at) == (RequirementsSource.SCRIPT, "flows/script.py")
    assert (request.version, dict(request.files)) == (">=3.11", {"requirements.txt": "pandas==3.0.1\n"})
    other = request_of("name: a\nflow: flows/script.py:main\npython: {requirements: [duckdb==1.4.0]}\n")
    assert other is not None
    assert other.source is RequirementsSource.LIST
    preloading = request_of("name: a\nflow: flows/script.py:main\npython: {preload: [pandas]}\n")
    assert preloading == request


def test_a_project_is_requested_with_its_lock() -> None:
    request = request_of(ETL + "python: {project: ., groups: [etl]}\n")
    assert request is not None
    assert set(request.files) == {"pyproject.toml", "uv.lock"}
    assert (request.entry, request.groups, request.declared_at) == ("pyproject.toml", ("etl",), "uv.lock")
    assert request.version == ">=3.11"


def test_a_member_of_a_workspace_is_locked_at_its_root() -> None:
    member = '[[package]]\nname = "member"\nversion = "1"\nsource = { editable = "packages/member" }\n'
    member += '[package.metadata]\nrequires-dist = [{ name = "pandas" }]\n'
    request = request_of(ETL + "python: {project: packages/member}\n", {"uv.lock": LOCK + member})
    assert request is not None
    assert set(request.files) == {"packages/member/pyproject.toml", "pyproject.toml", "uv.lock"}
    assert request.entry == "packages/member/pyproject.toml"


def test_an_interpreter_and_a_version_are_requests_of_their_own() -> None:
    interpreter = request_of(ETL + "python: {interpreter: /opt/venvs/etl/bin/python}\n")
    version = request_of(ETL + 'python: {version: "3.12"}\n')
    assert interpreter is not None
    assert version is not None
    assert interpreter.interpreter == "/opt/venvs/etl/bin/python"
    assert (version.version, dict(version.files)) == ("3.12", {"requirements.txt": ""})


@pytest.mark.parametrize(
    ("python", "code", "path", "message"),
    [
        ("requirements: gone.txt", "PythonFileMissing", "$.python.requirements", "file gone.txt does not exist"),
        ("requirements: /etc/x.txt", "OutsideRepository", "$.python.requirements", "absolute path"),
        ("requirements: ../x.txt", "OutsideRepository", "$.python.requirements", "../x.txt is outside"),
        ("requirements: [pandas=3]", "InvalidRequirement", "$.python.requirements[0]", "pandas=3 is not a requirement"),
        ("requirements: [a==1, -e .]", "InvalidRequirement", "$.python.requirements[1]", "is an option"),
        ("requirements: [a==1, ./lib]", "ForbiddenRequirement", "$.python.requirements[1]", "a local package"),
        (
            "requirements: ['a @ git+https://x/y']",
            "ForbiddenRequirement",
            "$.python.requirements[0]",
            "version control",
        ),
        ("requirements: [a], project: .", "ConflictingKeys", "$.python.project", "only one of"),
        ("project: flows", "PythonFileMissing", "$.python.project", "flows/pyproject.toml does not exist"),
        ("project: ., groups: [elt]", "InvalidRequirement", "$.python.project", "there is no group elt"),
        ("groups: [etl]", "ConflictingKeys", "$.python.groups", "groups requires project"),
        ('interpreter: /x/python, version: "3.12"', "ConflictingKeys", "$.python.version", "has a version already"),
        (
            "interpreter: venv/bin/python",
            "InvalidValue",
            "$.python.interpreter",
            "must be an absolute path, not 'venv/",
        ),
        ('version: "3"', "InvalidValue", "$.python.version", "invalid version"),
        ("version: 3.12", "WrongType", "$.python.version", "must be a string"),
        ("preload: [import pandas]", "InvalidValue", "$.python.preload[0]", "invalid item 1 of preload"),
        ("packages: [a]", "UnknownKey", "$.python.packages", "unknown key"),
    ],
)
def test_a_wrong_python_environment_is_one_error_at_its_place(python: str, code: str, path: str, message: str) -> None:
    ((actual_code, actual_path, actual_message),) = findings(ETL + f"python: {{{python}}}\n")
    assert (actual_code, actual_path) == (code, path)
    assert message in actual_message


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ("pandas==3.0.1\npandas=3\n", "InvalidRequirement", "flows/requirements.txt:2: pandas=3 is not a requirement"),
        (
            "--index-url https://index.example\n",
            "ForbiddenRequirement",
            "flows/requirements.txt:1: --index-url is",
        ),
        ("\n-r gone.txt\n", "PythonFileMissing", "flows/requirements.txt:2: file flows/gone.txt does not exist"),
        ("# nothing\n\n-r ../../x.txt\n", "ForbiddenRequirement", "flows/requirements.txt:3: ../../x.txt is outside"),
        ("-e .\n", "ForbiddenRequirement", "flows/requirements.txt:1: -e . is a local package"),
        ("--frobnicate\n", "InvalidRequirement", "flows/requirements.txt:1: unknown option --frobnicate"),
    ],
)
def test_an_error_in_a_requirements_file_names_its_line(content: str, code: str, message: str) -> None:
    text = ETL + "python: {requirements: flows/requirements.txt}\n"
    ((actual_code, path, actual),) = findings(text, {"flows/requirements.txt": content})
    assert (actual_code, path) == (code, "$.python.requirements")
    assert actual.startswith(message)


def test_a_file_that_declares_an_environment_can_have_four_mebibytes() -> None:
    text = ETL + "python: {requirements: flows/requirements.txt}\n"
    lines = "a==1\n".ljust(MAX_FILE_BYTES - 1, "#") + "\n"
    assert findings(text, {"flows/requirements.txt": lines}) == []
    ((code, path, message),) = findings(text, {"flows/requirements.txt": lines + "b"})
    assert (code, path) == ("InvalidRequirement", "$.python.requirements")
    assert message == "flows/requirements.txt:1: the file has 4,194,305 bytes; the limit is 4,194,304"


@pytest.mark.parametrize(("size", "is_script"), [(2 << 20, True), (MAX_FILE_BYTES + 1, False)])
def test_the_metadata_of_a_large_flow_counts_up_to_the_same_size(tmp_path: Path, size: int, is_script: bool) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/script.py").write_text(SCRIPT.ljust(size, "#"))
    code = WrittenCode({"flows/script.py": SCRIPT.ljust(size, "#")})
    document = manifest("deployments/a.yaml", "name: a\nflow: flows/script.py:main\n")
    state = ManifestReader().read([document], NOW, code=code)
    assert ("a" in state.python_requests) == is_script
    again = read_request(state.deployments["a"], partial(read_inside, tmp_path, check_size=check_size))
    assert again == state.python_requests.get("a")


@pytest.mark.parametrize("lines", ["a>=1\n", "a\n", "a==1.*\n", "a==1\nb\n"])
def test_requirements_without_exact_versions_are_a_warning(lines: str) -> None:
    text = ETL + "python: {requirements: flows/requirements.txt}\n"
    ((code, _, message),) = findings(text, {"flows/requirements.txt": lines})
    assert code == "UnpinnedRequirements"
    assert lines.splitlines()[-1] in message


@pytest.mark.parametrize(
    "lines", ["a==1\n", HASHES, "a==1 ; python_version < '4'\n", "# a \\\na==1\n", "-r 'base.txt'\n", ""]
)
def test_exact_versions_and_hashes_are_no_finding(lines: str) -> None:
    text = ETL + "python: {requirements: flows/requirements.txt}\n"
    assert findings(text, {"flows/requirements.txt": lines}) == []


def test_a_project_needs_a_lock_that_matches_it() -> None:
    text = ETL + "python: {project: .}\n"
    assert findings(text) == []
    ((code, _, message),) = findings(text, {"uv.lock": None})
    assert (code, "neither uv.lock nor pylock.toml" in message) == ("PythonFileMissing", True)
    ((code, path, message),) = findings(text, {"pyproject.toml": PROJECT.replace(">=3,<4", ">=3.1,<4")})
    assert (code, path) == ("LockOutdated", "$.python.project")
    assert message == "uv.lock:1: the lock does not match pyproject.toml: pandas>=3.1,<4 is not in it"
    assert findings(text, {"pyproject.toml": PROJECT.replace(">=3,<4", "<4,>=3")}) == []


@pytest.mark.parametrize(
    ("before", "after", "difference"),
    [
        ('dependencies = ["pandas>=3,<4"]', 'dependencies = ["pandas>=3,<4", "six"]', "six is not in it"),
        ('dependencies = ["pandas>=3,<4"]', "dependencies = []", "pandas is no longer declared"),
        ('etl = ["duckdb"]', 'etl = ["duckdb", "six>1"]', "six>1 is not in it"),
        ('etl = ["duckdb"]', "etl = []", "duckdb is no longer declared"),
        ('etl = ["duckdb"]', 'etl = [{include-group = "Base"}]\nbase = ["duckdb", "six"]', "duckdb is not in it"),
    ],
)
def test_a_lock_that_does_not_match_its_project_is_an_error(before: str, after: str, difference: str) -> None:
    assert before in PROJECT
    text = ETL + "python: {project: .}\n"
    ((code, _, message),) = findings(text, {"pyproject.toml": PROJECT.replace(before, after)})
    assert (code, message) == ("LockOutdated", f"uv.lock:1: the lock does not match pyproject.toml: {difference}")


def test_a_locked_package_must_come_from_an_index() -> None:
    lock = LOCK.replace('version = "1"\n', 'version = "1"\ndependencies = [{ name = "pandas" }]\n', 1)
    lock = lock.replace('registry = "https://index.example/simple"', 'git = "https://host.example/pandas"')
    ((code, _, message),) = findings(ETL + "python: {project: .}\n", {"uv.lock": lock})
    assert (code, "pandas comes from a git repository" in message) == ("ForbiddenRequirement", True)
    unused = LOCK.replace('registry = "https://index.example/simple"', 'git = "https://host.example/pandas"')
    assert findings(ETL + "python: {project: .}\n", {"uv.lock": unused}) == []


def test_many_unfinished_blocks_of_script_metadata_are_read_in_one_pass() -> None:
    content = b"# /// script\n" * 70_000 + FLOW.encode()
    assert read_script_metadata(content, "a.py") is None


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("# dependencies = [", "flows/script.py:1: the script metadata is not TOML"),
        ('# dependencies = "pandas"', "flows/script.py:1: the script metadata must have a list"),
        ('# dependencies = ["pandas=3"]', "flows/script.py:1: pandas=3 is not a requirement"),
        ("# [[tool.uv.index]]\n# url = 'https://x'", "flows/script.py:1: tool.uv.index is the operator's decision"),
    ],
)
def test_invalid_script_metadata_is_an_error_at_the_flow(block: str, message: str) -> None:
    script = f"# /// script\n{block}\n# ///\n{FLOW}"
    ((_, path, actual),) = findings("name: a\nflow: flows/script.py:main\n", {"flows/script.py": script})
    assert path == "$.flow"
    assert actual.startswith(message)


def test_a_changed_requirements_file_is_read_again_without_a_change_of_the_manifest() -> None:
    reader, file = ManifestReader(), manifest("deployments/a.yaml", ETL + "python: {requirements: flows/base.txt}\n")
    before = reader.read([file], NOW, code=WrittenCode(FILES)).python_requests["a"]
    same = reader.read([file], NOW, code=WrittenCode({**FILES, "flows/etl.py": FLOW})).python_requests["a"]
    after = reader.read([file], NOW, code=WrittenCode({**FILES, "flows/base.txt": "b==1\n"})).python_requests["a"]
    assert before is same
    assert dict(after.files) == {"flows/base.txt": "b==1\n"}


def test_a_flow_in_a_module_is_resolved_along_the_import_paths() -> None:
    text = "name: a\nflow: acme.daily:main\nimport_paths: [src]\nparameters: {regoin: eu}\n"
    assert [code for code, _, _ in findings(text)] == ["UnknownParameter"]
    ((code, _, message),) = findings("name: a\nflow: acme.daily:mian\nimport_paths: [src]\n")
    assert (code, message.startswith("src/acme/daily.py:1: ")) == ("FlowNotFound", True)
    ((code, path, _),) = findings("name: a\nflow: acme.daily:main\n")
    assert (code, path) == ("FlowFileMissing", "$.flow")
    assert findings("name: a\nflow: flows.etl:main\n") == [], "the root is an import path"


def test_a_flow_in_a_package_is_checked_when_it_runs() -> None:
    ((code, _, message),) = findings("name: a\nflow: other.daily:main\npython: {requirements: [other==1]}\n")
    assert code == "FlowNotChecked"
    assert message == "module other.daily is not in the repository, so its parameters are checked when it runs"


@pytest.mark.parametrize("flow", ["my-flows:main", "flows/etl:main", "flows.etl.main", "a..b:main"])
def test_neither_a_file_nor_a_module_is_an_error(flow: str) -> None:
    ((_, path, _),) = findings(f"name: a\nflow: {flow}\n")
    assert path == "$.flow"


def test_import_paths_are_folders_of_the_repository() -> None:
    state = read(ETL + "import_paths: [src, ., src/]\n")
    assert state.deployments["a"].import_paths == ("src", "")
    ((code, path, _),) = findings(ETL + "import_paths: [src, lib]\n")
    assert (code, path) == ("ImportPathMissing", "$.import_paths[1]")


def test_a_default_is_dropped_with_null() -> None:
    project = manifest("controller.yaml", "defaults: {python: {requirements: flows/base.txt}, import_paths: [src]}\n")
    own = manifest("deployments/a.yaml", ETL + "python: {project: .}\n")
    dropped = manifest("deployments/a.yaml", ETL + "python: {requirements: null, project: .}\n")
    ((code, hint),) = [
        (one.code, one.hint) for one in ManifestReader().read([own], NOW, project, WrittenCode(FILES)).findings
    ]
    assert (code, "null" in str(hint)) == ("ConflictingKeys", True)
    state = ManifestReader().read([dropped], NOW, project, WrittenCode(FILES))
    assert state.findings == ()
    assert state.deployments["a"].import_paths == ("src",)


def test_a_project_file_that_is_not_at_the_root_is_a_warning() -> None:
    code = WrittenCode({**FILES, "team-a/controller.yaml": "defaults: {}\n"})
    file = manifest("team-a/deployments/a.yaml", ETL)
    (finding,) = ManifestReader().read([file], NOW, code=code).findings
    assert (finding.code, finding.file, finding.severity) == ("ProjectFileIgnored", "team-a/controller.yaml", "warning")


def test_a_revision_that_cannot_be_read_does_not_change_which_project_files_are_ignored() -> None:
    class Unreachable(WrittenCode):
        def find(self, paths: Iterable[str]) -> Mapping[str, CodeFile]:
            wanted = list(paths)
            if "team-b/controller.yaml" in wanted:
                raise SourceError("It can't be read.")
            return super().find(wanted)

    reader, code = ManifestReader(), WrittenCode({**FILES, "team-a/controller.yaml": "defaults: {}\n"})
    file = manifest("team-a/deployments/a.yaml", ETL)
    before = reader.read([file], NOW, code=code)
    with pytest.raises(SourceError):
        reader.read([manifest("team-b/deployments/a.yaml", "name: b\ncommand: [x]\n")], NOW, code=Unreachable(FILES))
    assert reader.read([file], NOW, code=code).findings == before.findings


MISSING = "correct the path, or commit the file; a link that leads outside the repository does not count as a file"


@pytest.mark.parametrize(
    ("python", "hint"),
    [
        ("{requirements: alpha==1.0}", "to require a package, write a list: [alpha==1.0]"),
        ("{requirements: 'alpha>=1,<2'}", 'to require a package, write a list: ["alpha>=1,<2"]'),
        ("{requirements: gone.txt}", MISSING),
        ("{requirements: folder/gone}", MISSING),
        ("null", "remove it: a deployment without `python` runs with the Python environment of the controller"),
        ("{requirements: null}", "remove the key: it has no default to drop"),
        (
            "{interpreter: python3}",
            "write the path of an interpreter on the machine of the controller: /opt/venvs/etl/bin/python",
        ),
    ],
)
def test_a_wrong_python_environment_has_a_hint(python: str, hint: str | None) -> None:
    state = ManifestReader().read(
        [manifest("deployments/a.yaml", ETL + f"python: {python}\n")], NOW, code=WrittenCode({})
    )
    [finding] = [finding for finding in state.findings if finding.path and finding.path.startswith("$.python")]
    assert finding.hint == hint


def test_lines_continue_as_in_pip() -> None:
    text = "a==1  # note \\\nlost==1\nb==1 \\\n# note\nc==1\\\n# note\nd==1\n# only a comment \\\ne==1\n"
    assert list(logical_lines(text)) == [(1, "a==1"), (3, "b==1"), (5, "c==1"), (7, "d==1"), (9, "e==1")]
