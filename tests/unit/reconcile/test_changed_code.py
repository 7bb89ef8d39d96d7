"""Code changes of deployments are found by following imports like Python; no other files are read."""

import pytest

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.reconcile.changed_code import CodeChanges, code_changes
from controller.sources.git import NamedCommit
from tests.conftest import GitRepository


def flow(name: str, path: str) -> Deployment:
    return build_deployment({"name": name, "flow": f"{path.partition(':')[0]}:main"}, "deployments/d.yaml", 1)


def command(name: str, *argv: str, directory: str = "") -> Deployment:
    where = {"working_directory": directory} if directory else {}
    return build_deployment({"name": name, "command": list(argv), **where}, "deployments/d.yaml", 1)


def changes(repository: GitRepository, *deployments: Deployment) -> CodeChanges:
    """Return the code changes of these deployments in the newest commit."""
    head, base = (NamedCommit(repository.path, name, path="deployments") for name in ("HEAD", "HEAD~1"))
    revision = head.observe()
    code = head.code(revision)
    before = base.observe()
    changed = head.changed_files(revision, before)
    return code_changes(head, code, changed, head=revision, base=before, deployments=deployments)


def changed_files(repository: GitRepository, *deployments: Deployment) -> dict[str, tuple[str, ...]]:
    return {change.deployment: change.files for change in changes(repository, *deployments).deployments}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("import heavy", "heavy.py"),
        ("import heavy", "flows/heavy.py"),
        ("import heavy as h, json", "flows/heavy.py"),
        ("import lib.heavy", "lib/heavy.py"),
        ("import lib.heavy", "lib/heavy/__init__.py"),
        ("import lib.heavy", "lib/__init__.py"),
        ("from lib import heavy", "lib/heavy.py"),
        ("from lib import heavy", "lib/__init__.py"),
        ("from lib.heavy import *", "lib/heavy.py"),
        ("from lib.a.b import c", "lib/a/__init__.py"),
        ("from lib.a.b import c", "lib/a/b/c.py"),
        ("from . import heavy", "flows/heavy.py"),
        ("from . import heavy", "flows/__init__.py"),
        ("from .heavy import work", "flows/heavy.py"),
        ("from ..lib import heavy", "lib/heavy.py"),
        ("def main():\n    from lib import heavy", "lib/heavy.py"),
        ("try:\n    import heavy\nexcept ImportError:\n    pass", "heavy.py"),
    ],
)
def test_an_imported_file_that_changes_is_a_change_of_the_code(repository: GitRepository, line: str, path: str) -> None:
    repository.commit({"flows/load.py": f"{line}\n", "flows/idle.py": "import json\n", path: "X = 1\n"})
    repository.commit({path: "X = 2\n"})
    deployments = flow("load-orders", "flows/load.py:main"), flow("idle", "flows/idle.py:main")
    assert changed_files(repository, *deployments) == {"load-orders": (path,)}


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("import heavyweight", "heavy.py"),
        ("import queue", "queue.py"),
        ("print('heavy')", "heavy.py"),
        ("from . import heavy", "heavy.py"),
        ("from ....... import heavy", "heavy.py"),
        ("import heavy", "src/heavy.py"),
        ("import flow", "other/flow.py"),
    ],
)
def test_a_changed_file_that_is_not_imported_is_not_a_code_change(
    repository: GitRepository, line: str, path: str
) -> None:
    repository.commit({"flows/load.py": f"{line}\n", path: "X = 1\n"})
    repository.commit({path: "X = 2\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py:main"), flow("other", "other/x.py")) == {}


def test_a_module_is_taken_from_the_first_folder_of_the_search_path(repository: GitRepository) -> None:
    repository.commit({"flows/load.py": "import heavy\n", "heavy.py": "X = 1\n", "flows/heavy.py": "X = 1\n"})
    repository.commit({"flows/heavy.py": "X = 2\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {}
    repository.commit({"heavy.py": "X = 2\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {"load-orders": ("heavy.py",)}


def test_transitive_and_circular_imports_are_followed(repository: GitRepository) -> None:
    files = {
        "flows/load.py": "from lib import a\n",
        "lib/a.py": "from . import b\n",
        "lib/b.py": "import lib.c\n",
        "lib/c.py": "from lib.a import x\nfrom .d import y\n",
        "lib/d.py": "y = 1\n",
    }
    repository.commit(files)
    repository.commit({"lib/d.py": "y = 2\n", "lib/b.py": "import lib.c  # new\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {"load-orders": ("lib/b.py", "lib/d.py")}


def test_an_added_or_removed_file_is_a_code_change(repository: GitRepository) -> None:
    repository.commit({"flows/load.py": "import heavy\n", "heavy.py": "X = 1\n"})
    (repository.path / "heavy.py").unlink()
    repository.commit()
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {"load-orders": ("heavy.py",)}
    repository.commit({"heavy.py": "X = 1\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {"load-orders": ("heavy.py",)}


def test_the_files_that_a_command_names_are_its_code(repository: GitRepository) -> None:
    names = ["run.sh", "scripts/load.py", "scripts/helper.py", "conf/a.toml", "work/job.sql"]
    repository.commit(dict.fromkeys(names, "import helper\n"))
    repository.commit(dict.fromkeys(names, "import helper  # new\n"))
    assert changed_files(
        repository,
        command("shell", "sh", "./run.sh"),
        command("script", "python", "scripts/load.py", "--config=conf/a.toml"),
        command("below", "psql", "-f", "job.sql", directory="work"),
        command("none", "echo", "../run.sh", "/run.sh", "", "x\ty"),
    ) == {
        "shell": ("run.sh",),
        "script": ("conf/a.toml", "scripts/helper.py", "scripts/load.py"),
        "below": ("work/job.sql",),
    }


def test_a_flow_that_is_a_link_to_a_changed_file_changes(repository: GitRepository) -> None:
    repository.commit({"lib/load.py": "X = 1\n"})
    repository.write("flows/x", "")
    (repository.path / "flows/load.py").symlink_to("../lib/load.py")
    repository.commit()
    repository.commit({"lib/load.py": "X = 2\n"})
    assert changed_files(repository, flow("load-orders", "flows/load.py")) == {"load-orders": ("flows/load.py",)}


def test_a_file_with_invalid_syntax_is_listed_as_unread(repository: GitRepository) -> None:
    repository.commit({"flows/load.py": "import heavy\n", "heavy.py": "X = 1\n", "old.py": "print 'heavy'\n"})
    repository.commit({"heavy.py": "X = 2\n"})
    answer = changes(repository, flow("load-orders", "flows/load.py"))
    assert [one.deployment for one in answer.deployments] == ["load-orders"]
    assert [(one.file, one.reason) for one in answer.unread] == [("old.py", "it is not valid Python")]


@pytest.mark.parametrize("name", ["flows/żółć.py", "flows/a b.py", "flows/-e.py"])
def test_files_of_any_name_are_followed(repository: GitRepository, name: str) -> None:
    repository.commit({name: "import heavy\n", "heavy.py": "X = 1\n"})
    repository.commit({"heavy.py": "X = 2\n", name: "import heavy  # new\n"})
    assert changed_files(repository, flow("load-orders", name)) == {"load-orders": tuple(sorted((name, "heavy.py")))}


def test_only_files_that_depend_on_a_change_are_read(repository: GitRepository) -> None:
    names = [f"d{number}" for number in range(1000)]
    repository.commit({f"flows/{name}.py": f"import heavy\n# {name}\n" for name in names[:2]})
    repository.commit({f"flows/{name}.py": f"import light\n# {name}\n" for name in names[2:]} | {"heavy.py": "X = 1\n"})
    repository.commit({"heavy.py": "X = 2\n"})
    head = NamedCommit(repository.path, "HEAD", path="deployments")
    revision, base = head.observe(), NamedCommit(repository.path, "HEAD~1", path="deployments").observe()
    before = head.work.blobs
    deployments = [flow(name, f"flows/{name}.py") for name in names]
    changed = head.changed_files(revision, base)
    answer = code_changes(head, head.code(revision), changed, head=revision, base=base, deployments=deployments)
    assert [one.deployment for one in answer.deployments] == names[:2]
    assert head.work.blobs - before == 3  # the two flows, and the changed file itself, whose imports are read as well
