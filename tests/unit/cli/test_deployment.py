"""`controller deployment`: a spec is validated and written to the repository; its other commands are aliases."""

from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command, Followed

FLOW = (
    "from typing import List\nfrom controller import flow\n@flow\ndef calculator(nums: List[int]): return sum(nums)\n"
)
YAML = """# my first one
- name: one
  flow_location: './my_flow.py'   # beside this file
  parameters: {nums: [1, 2]}
- name: two
  flow_location: my_flow.py
  parameters: {nums: []}
"""


@pytest.fixture
def work(repository: GitRepository) -> Path:
    (repository.path / "work").mkdir()
    (repository.path / "work/my_flow.py").write_text(FLOW, encoding="utf-8")
    return repository.path


def test_a_yaml_spec_is_converted_with_its_texts_and_its_flow(work: Path, command: Command) -> None:
    (work / "work/spec.yaml").write_text(YAML, encoding="utf-8")
    answer = command("deployment", "create", str(work / "work/spec.yaml"), "--repo", str(work))
    assert (answer.code, answer.out.splitlines()) == (
        0,
        [
            "Created deployment 'one' for work/my_flow.py",
            "Created deployment 'two' for work/my_flow.py",
            "To apply it: git add deployments/spec.yaml work/my_flow.py && git commit",
        ],
    )
    written = (work / "deployments/spec.yaml").read_text(encoding="utf-8")
    assert written == YAML.replace("'./my_flow.py'", '"../work/my_flow.py"').replace(
        ": my_flow.py", ": ../work/my_flow.py"
    )
    assert command("validate", str(work / "deployments")).code == 0


def test_an_existing_file_is_overwritten_only_with_the_option(work: Path, command: Command) -> None:
    (work / "work/spec.yaml").write_text(YAML, encoding="utf-8")
    (work / "deployments").mkdir()
    (work / "deployments/spec.yaml").write_text("name: other\ncommand: [ls]\n", encoding="utf-8")
    create = ("deployment", "create", str(work / "work/spec.yaml"), "--repo", str(work))
    answer = command(*create)
    assert (answer.code, "already exists" in answer.err) == (2, True)
    assert (work / "deployments/spec.yaml").read_text(encoding="utf-8").startswith("name: other")
    assert command(*create, "--replace").code == 0
    again = command(*create)
    assert (again.code, again.out, "Use --replace to overwrite it" in again.err) == (2, "", True)
    assert command(*create, "--replace").code == 0
    answer = command("deployment", "create", str(work / "deployments/spec.yaml"), "--repo", str(work))
    assert (answer.code, answer.out.count("Created")) == (0, 2)


def test_the_file_of_a_spec_before_its_rename_must_be_removed(work: Path, command: Command) -> None:
    (work / "work/spec.yaml").write_text(YAML, encoding="utf-8")
    create = ("deployment", "create", "--repo", str(work), "--replace")
    assert command(*create, str(work / "work/spec.yaml")).code == 0
    (work / "work/spec.yaml").rename(work / "work/renamed.yaml")
    answer = command(*create, str(work / "work/renamed.yaml"))
    assert answer.code == 1
    assert "the name one is also declared at deployments/spec.yaml:2" in answer.out
    assert "if that file was created from this one under an older name, remove it with git rm" in answer.out
    (work / "deployments/spec.yaml").unlink()
    assert command(*create, str(work / "work/renamed.yaml")).code == 0


@pytest.mark.parametrize(
    ("name", "text", "code", "words"),
    [
        ("bad.yaml", "name: bad\nflow_location: my_flow.py\nparameters: {numz: []}\n", 1, "bad.yaml:3:14: error"),
        ("bad.py", "from controller import DeploymentSpec\nraise OSError('away')\n", 1, "bad.py:2:1: error"),
        ("empty.py", "", 2, "declares no deployment"),
        ("bad.toml", "", 2, "is not YAML, JSON or Python"),
    ],
)
def test_an_invalid_document_is_not_written(
    work: Path, command: Command, name: str, text: str, code: int, words: str
) -> None:
    (work / "work" / name).write_text(text, encoding="utf-8")
    answer = command("deployment", "create", str(work / "work" / name), "--repo", str(work))
    assert (answer.code, words in answer.out + answer.err) == (code, True), answer
    assert not (work / "deployments").exists()


def test_a_file_outside_of_the_repository_is_rejected(work: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("name: a\ncommand: [ls]\n", encoding="utf-8")
    for file, words in (
        (tmp_path / "spec.yaml", f"Copy it into the repository first: cp {tmp_path}/spec.yaml {work}/"),
        (tmp_path / "none.yaml", "does not exist"),
    ):
        answer = command("deployment", "create", str(file), "--repo", str(work))
        assert (answer.code, words in answer.err) == (2, True)


def test_familiar_command_names_are_aliases(followed: Followed) -> None:
    for ours, seeds in (
        (("deployments", "list", "-o", "json"), ("deployment", "ls", "-o", "json")),
        (("deployments", "show", "sums", "-o", "json"), ("deployment", "inspect", "add/sums", "-o", "json")),
    ):
        first, second = followed(*ours), followed(*seeds)
        assert (first.code, first.json) == (second.code, second.json) == (0, first.json)
    answer = followed("deployment", "run", "add/sums", "--wait", "--param", "label=y")
    assert (answer.code, answer.out.splitlines()[-1]) == (0, 'result: {"sum": 3, "label": "y"}')


def test_execute_runs_the_flow_in_the_foreground(followed: Followed) -> None:
    followed.deploy_sums("executed")
    before = followed("runs", "list", "--limit", "1", "-o", "json").json
    answer = followed("deployment", "execute", "add/executed", "--params", '{"nums": [1, 1]}')
    assert (answer.code, answer.out) == (0, '{"sum": 2, "label": "x"}\n')
    answer = followed("deployment", "execute", "flows/sums.py:add", "--params", '{"nums": [3]}')
    assert (answer.code, answer.out) == (0, '{"sum": 3, "label": "x"}\n')
    assert followed("runs", "list", "--limit", "1", "-o", "json").json == before


def test_python_specs_are_executed_only_with_render_python(work: Path, command: Command) -> None:
    (work / "deployments").mkdir()
    spec = "from controller import DeploymentSpec\nDeploymentSpec(name='one', command=['echo', 'hello'])\n"
    (work / "deployments/spec.py").write_text(spec, encoding="utf-8")
    answer = command("validate", "--repo", str(work), "-o", "json")
    assert (answer.code, answer.json["deployments"]) == (0, 0)
    assert [one["code"] for one in answer.json["findings"]] == ["PythonNotRendered"]
    answer = command("validate", "--render-python", "--repo", str(work), "-o", "json")
    assert (answer.code, answer.json["deployments"], answer.json["findings"]) == (0, 1, [])
    assert command("execute", "one", "--repo", str(work)).code == 2
    answer = command("execute", "one", "--render-python", "--repo", str(work))
    assert (answer.code, "hello" in answer.err) == (0, True)
