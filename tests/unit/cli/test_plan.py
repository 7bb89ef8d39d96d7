"""`controller plan` between commits of every kind of repository, named in every way that people name commits."""

from pathlib import Path

import pytest

from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import Command

COMMENT = 65_536
"""Characters that GitHub takes as a comment on a pull request."""


def hourly(name: str, extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedule: {{cron: '0 * * * *'}}\n{extra}"


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """Two commits: of `a` and of `b`, each with a branch and tags; `main` is the first."""
    found = new_repository(tmp_path / "r")
    found.commit({"deployments/a.yaml": hourly("a")})
    found.git("tag", "light")
    found.git("tag", "--annotate", "heavy", "--message", "x")
    found.git("checkout", "--quiet", "-b", "feature/one/b")
    found.commit({"deployments/b.yaml": hourly("b")})
    return found


def changes(command: Command, root: Path, *arguments: str) -> list[tuple[str, str]]:
    answer = command("plan", "--repo", str(root), *arguments, "-o", "json")
    assert answer.code in (0, 1), answer.err
    found = [(change["action"], change["deployment"]) for change in answer.json["changes"]]
    assert answer.code == bool(found)
    return found


@pytest.mark.parametrize("base", ["HEAD~1", "HEAD^", "@~", "light", "heavy", "heavy~0", "origin/main", "main@sha"])
def test_a_commit_can_be_named_as_in_git(
    command: Command, repository: GitRepository, tmp_path: Path, base: str
) -> None:
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", str(repository.path), str(clone))
    name = repository.git("rev-parse", "main") if base == "main@sha" else base
    assert changes(command, clone, "--base", name) == [("create", "b")]
    assert changes(command, clone, "--base", name, "--head", "origin/feature/one/b") == [("create", "b")]
    assert changes(command, clone, "--base", "HEAD", "--head", name) == [("delete", "b")]
    assert changes(command, clone, "--base", name, "--head", name) == []
    assert not (clone / ".controller").exists()


def test_plan_works_in_bare_repositories_and_worktrees(
    command: Command, repository: GitRepository, tmp_path: Path
) -> None:
    bare, tree = tmp_path / "bare.git", tmp_path / "tree"
    repository.git("clone", "--quiet", "--bare", str(repository.path), str(bare))
    before = sorted(bare.iterdir())
    assert changes(command, bare, "--base", "main", "--head", "feature/one/b") == [("create", "b")]
    assert sorted(bare.iterdir()) == before
    repository.git("worktree", "add", "--quiet", "--detach", str(tree), "main")
    assert changes(command, tree, "--base", "feature/one/b") == [("delete", "b")]


def test_only_shallow_clones_get_the_hint_about_missing_history(
    command: Command, repository: GitRepository, tmp_path: Path
) -> None:
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.path}", str(shallow))
    answer = command("plan", "--repo", str(shallow), "--base", "HEAD~1")
    assert (answer.code, "--unshallow" in answer.err) == (2, True)
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~9")
    assert (answer.code, "--unshallow" in answer.err) == (2, False)


def test_an_environment_has_its_own_plan(command: Command, repository: GitRepository) -> None:
    repository.commit({"controller.yaml": "environments: {prod: {}, dev: {}}\n"})
    overlay = "environments:\n  prod: {schedule: {cron: '7 * * * *'}}\n"
    repository.commit({"deployments/a.yaml": hourly("a", overlay)})
    assert changes(command, repository.path, "--base", "HEAD~1", "--environment", "dev") == []
    assert changes(command, repository.path, "--base", "HEAD~1", "--environment", "prod") == [("update", "a")]
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "--environment", "staging")
    assert (answer.code, answer.out) == (2, "")


def test_undeclared_deployments_that_are_kept_are_reported(command: Command, repository: GitRepository) -> None:
    repository.commit({"deployments/kept.yaml": hourly("kept", "prune: disabled\n")})
    (repository.path / "deployments/kept.yaml").unlink()
    (repository.path / "deployments/b.yaml").unlink()
    repository.commit({"deployments/bad.yaml": "name: [\n"})
    location = ("--repo", str(repository.path), "--base", "HEAD~1")
    kept = command("plan", *location, "-o", "json").json["kept"]
    assert [(one["deployment"], one["reason"]) for one in kept] == [
        ("b", "InvalidManifest"),
        ("kept", "InvalidManifest"),
    ]
    assert "deployments/bad.yaml" in kept[0]["message"]
    said = "b stays active: it may have moved into deployments/bad.yaml, which cannot be parsed"
    assert f"= {said}\n" in command("plan", *location).out
    assert said in command("plan", *location, "-o", "markdown").out
    (repository.path / "deployments/bad.yaml").unlink()
    repository.commit()
    answer = command("plan", *location[:2], "--base", "HEAD~2", "-o", "json")
    assert [(one["deployment"], one["reason"]) for one in answer.json["kept"]] == [("kept", "PruneDisabled")]


def test_a_plan_of_a_thousand_changes_fits_into_a_comment(command: Command, repository: GitRepository) -> None:
    wide = f"description: {'w' * 300}\n"
    repository.commit({f"deployments/d{number}.yaml": hourly(f"d{number}", wide) for number in range(1000)})
    text = command("plan", "--repo", str(repository.path), "--base", "HEAD~1", "-o", "markdown").out
    assert len(text) < COMMENT
    assert text.startswith("### Plan: 1000 to create")
    assert "Digest `sha256:" in text
    shown = text.count("| create |")
    assert 0 < shown < 1000
    assert f"{1000 - shown} more changes" in text
    assert text.count("<details>") == text.count("</details>")


def test_each_kept_deployment_has_its_own_reason(command: Command, repository: GitRepository) -> None:
    names = [f"d{number}" for number in range(8)]
    repository.commit({f"deployments/{name}.yaml": hourly(name) for name in names})
    for name in names[:6]:
        (repository.path / f"deployments/{name}.yaml").unlink()
    repository.commit()
    repository.commit({"deployments/clicks.yaml": "schedul: {}\n" + hourly("clicks")})
    location = ("--repo", str(repository.path), "--base", "HEAD~2")
    found = command("plan", *location, "-o", "json").json
    assert [change["deployment"] for change in found["changes"]] == names[:6]
    assert (found["kept"], found["summary"]["invalid"]) == ([], 1)
    assert found["withheld"]["deployments"] == names[:6]


def test_a_file_that_was_already_broken_keeps_no_deployment_as_in_the_controller(
    command: Command, repository: GitRepository
) -> None:
    repository.commit({"deployments/page.yaml": hourly("page")})
    repository.commit({"deployments/page.yaml": "{{ template }}\nname: {{ x }}\n"})
    (repository.path / "deployments/b.yaml").unlink()
    repository.commit()
    location = ("--repo", str(repository.path), "--base")
    for base in ("HEAD~1", "HEAD~2"):
        answer = command("plan", *location, base, "-o", "json").json
        assert [(change["action"], change["deployment"]) for change in answer["changes"]] == [("delete", "b")]
        assert "b" not in [kept["deployment"] for kept in answer["kept"]]


def test_a_deployment_that_moved_into_a_python_spec_is_not_planned_as_deleted(
    command: Command, repository: GitRepository
) -> None:
    spec = 'from controller import DeploymentSpec\nDeploymentSpec(name="b", flow_location="../f.py")\n'
    (repository.path / "deployments/b.yaml").unlink()
    repository.commit({"deployments/spec.py": spec})
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1")
    assert "= b stays active: it may have moved into deployments/spec.py, which was not executed" in answer.out
    repository.commit({"deployments/spec.py": spec.replace('"b"', '"c"')})
    assert changes(command, repository.path, "--base", "HEAD~2") == [("delete", "b")]


def test_the_commit_that_undoes_a_refused_rename_of_case_has_no_error(command: Command, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "case")
    repository.commit({"deployments/a.yaml": "name: sums\ncommand: ['true']\n"})
    repository.commit({"deployments/a.yaml": "name: Sums\ncommand: ['true']\n"})
    options = ("plan", "--repo", str(repository.path), "--base", "HEAD~1")
    assert "CaseOnlyRename" in command(*options).out  # the controller refuses it
    repository.commit({"deployments/a.yaml": "name: sums\ncommand: ['true']\nversion: '2'\n"})
    answer = command(*options)
    assert "CaseOnlyRename" not in answer.out
    assert "1 to update" in answer.out


def test_a_refused_rename_of_case_can_be_undone_several_commits_later(command: Command, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "case")
    repository.commit({"deployments/sums.yaml": hourly("sums", "version: '1'\n")})
    repository.commit({"deployments/sums.yaml": hourly("sums", "version: '2'\n")})
    (repository.path / "deployments/sums.yaml").unlink()
    repository.commit({"deployments/Sums.yaml": hourly("Sums")})
    repository.commit({"deployments/b.yaml": hourly("b")})
    repository.commit({"deployments/Sums.yaml": hourly("Sums", "version: '3'\n")})
    repository.commit({"deployments/c.yaml": hourly("c")})
    repository.commit({"deployments/Sums.yaml": hourly("sums", "version: '4'\n")})
    options = ("plan", "--repo", str(repository.path), "--base", "HEAD~1")
    answer = command(*options, "-o", "json").json
    assert answer["findings"] == []
    [change] = answer["changes"]
    assert (change["action"], change["deployment"]) == ("update", "sums")
    # The last version before the rename is active.
    assert {"path": "$.version", "before": "2", "after": "4"} in change["fields"]


@pytest.mark.parametrize("base", ["HEAD~3", "HEAD~4"])
def test_a_rename_of_case_that_takes_several_commits_is_refused(command: Command, tmp_path: Path, base: str) -> None:
    repository = new_repository(tmp_path / "case")
    repository.commit({"deployments/a.yaml": hourly("sums", "version: '1'\n")})
    repository.commit({"deployments/a.yaml": hourly("sums")})
    repository.commit({"deployments/a.yaml": hourly("other"), "deployments/b.yaml": hourly("b")})
    repository.commit({"deployments/a.yaml": hourly("third")})
    repository.commit({"deployments/a.yaml": hourly("Sums")})
    answer = command("plan", "--repo", str(repository.path), "--base", base)
    assert "the name Sums differs only in case from sums, which is active" in answer.out


def test_a_rename_of_case_by_way_of_another_name_is_not_taken_for_a_refused_one(
    command: Command, tmp_path: Path
) -> None:
    repository = new_repository(tmp_path / "case")
    repository.commit({"deployments/a.yaml": hourly("sums")})
    repository.commit({"deployments/a.yaml": hourly("other", "renamed_from: sums\n")})
    repository.commit({"deployments/a.yaml": hourly("Sums", "renamed_from: other\n")})
    repository.commit({"deployments/a.yaml": hourly("sums")})
    answer = command("plan", "--repo", str(repository.path), "--base", "HEAD~1")
    assert "the name sums differs only in case from Sums, which is active" in answer.out
