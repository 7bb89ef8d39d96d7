"""One repository with several environments: each has its own values, and mistakes are reported in all of them."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

PROJECT = """
defaults: {env: {STAGE: none, LEVEL: info}, tags: [sales]}
environments:
  prod: {defaults: {env: {STAGE: prod}}}
"""
STAGE = """
name: stage
command: [sh, -c, 'echo "$STAGE $LEVEL $WHERE $(basename "$PWD")"']
env: {WHERE: default}
working_directory: reports
environments:
  prod: {env: {WHERE: overlay}, tags: [live]}
  staging: {env: {STAGE: staging}}
"""


def say(repository: Repository, name: str) -> str:
    run = repository.trigger(name)
    assert run["state"] == "succeeded"
    return repository.ask("runs", "logs", run["id"]).out


def test_each_environment_runs_its_own_overlay(repository: Repository, running: Start) -> None:
    repository.write("controller.yaml", PROJECT)
    repository.write("deployments/stage.yaml", STAGE)
    repository.write("reports/README", "here\n")
    revision = repository.commit()
    plain = running(repository, "--interval", "1h")
    repository.wait_for_revision(revision)
    assert say(repository, "stage") == "none info default reports\n"
    plain.stop()

    running(repository, "--interval", "1h", CONTROLLER_ENVIRONMENT="prod")
    repository.wait_for_status(lambda: repository.deployment("stage")["tags"] == ["live"], "the overlay of prod")
    assert say(repository, "stage") == "prod info overlay reports\n"

    repository.write("controller.yaml", PROJECT.replace("LEVEL: info", "LEVEL: 5"))
    broken = repository.commit()
    repository.wait_for_revision(broken)
    assert say(repository, "stage") == "prod info overlay reports\n"
    (finding,) = repository.status()["source"]["findings"]
    assert (finding["code"], finding["file"]) == ("WrongType", "controller.yaml")

    repository.write("controller.yaml", PROJECT.replace("LEVEL: info", "LEVEL: debug"))
    fixed = repository.commit()
    repository.wait_for_revision(fixed)
    assert say(repository, "stage") == "prod debug overlay reports\n"


def test_validate_checks_every_environment_and_locates_findings_in_the_overlay(repository: Repository) -> None:
    repository.write("controller.yaml", PROJECT)
    repository.write("deployments/stage.yaml", STAGE + "  test: {timeout: soon}\n")
    repository.write("reports/README", "here\n")
    answer = repository.machine.controller("validate", cwd=repository.root)
    assert answer.code == 1
    assert answer.out.startswith("deployments/stage.yaml:8:19: error: ")
    assert "  8 |   test: {timeout: soon}" in answer.out
    assert repository.ask("validate", "--environment", "prod").code == 0
    assert repository.ask("validate", "--environment", "test").code == 1
    one = repository.machine.controller(
        "validate", "deployments/stage.yaml", "--environment", "prod", cwd=repository.root
    )
    assert one.code == 0
    project = repository.machine.controller("validate", "controller.yaml", cwd=repository.root)
    assert (project.code, project.err.startswith("1 file, ")) == (0, True)


def test_render_prints_the_documents_that_would_be_applied(repository: Repository) -> None:
    repository.write("controller.yaml", PROJECT)
    repository.write("deployments/stage.yaml", STAGE)
    repository.write("reports/README", "here\n")
    repository.write("deployments/tail.yaml", "name: tail\ncommand: ['true']\nenvironments: {prod: {env: null}}\n")
    documents = repository.tell("render", "--environment", "prod")
    assert [document["name"] for document in documents] == ["stage", "tail"]
    assert documents[0]["env"] == {"WHERE": "overlay", "STAGE": "prod", "LEVEL": "info"}
    assert documents[1] == {"name": "tail", "command": ["true"], "tags": ["sales"]}
    text = repository.ask("render", "tail", "--environment", "prod")
    assert text.out == "name: tail\ncommand:\n- 'true'\ntags:\n- sales\n".replace("'", '"')
    assert repository.tell("render", "tail")["env"] == {"STAGE": "none", "LEVEL": "info"}

    repository.write("deployments/bad.yaml", "name: bad\ncommand: [x]\ntimout: 1h\n")
    some = repository.ask("render")
    assert some.code == 1
    assert some.err.startswith("deployments/bad.yaml:3:1: error: unknown key `timout` [UnknownKey]\n")
    assert "name: stage" in some.out
    assert repository.ask("render", "tail").code == 0
    assert (repository.ask("render", "bad").code, repository.ask("render", "bad").out) == (1, "")
    unknown = repository.ask("render", "tial")
    assert (unknown.code, unknown.out) == (2, "")
    assert "Did you mean tail?" in unknown.err


@pytest.mark.parametrize("command", [("validate",), ("render",), ("next", "stage"), ("run", "--once")])
def test_an_undeclared_environment_is_an_error(repository: Repository, command: tuple[str, ...]) -> None:
    repository.write("controller.yaml", PROJECT)
    repository.write("reports/README", "here\n")
    repository.write("deployments/stage.yaml", STAGE)
    repository.commit()
    answer = repository.ask(*command, "--environment", "stagin")
    assert (answer.code, answer.out) == (2, "")
    assert "stagin" in answer.err
    assert "did you mean staging?" in answer.err
