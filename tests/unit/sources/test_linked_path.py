"""A deployments path that is a symbolic link gives one finding, which names a path that works."""

from pathlib import Path

import pytest

from controller.errors import PathNotFoundError
from controller.sources.directory.source import DirectorySource
from tests.conftest import GitRepository
from tests.unit.sources.conftest import Follow, paths

MANIFEST = "name: a\ncommand: ['true']\n"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("real", "use --path real."),
        ("./real/../real", "use --path real."),
        ("nowhere", "symbolic link to nowhere, "),
        ("real/a.yaml", "use --path real/a.yaml."),
        ("/etc", "leads outside the repository"),
        ("../elsewhere", "symbolic link to ../elsewhere, "),
    ],
)
def test_a_linked_deployments_path_is_one_finding(
    repository: GitRepository, follow: Follow, target: str, problem: str
) -> None:
    repository.write("real/a.yaml", MANIFEST)
    (repository.path / "deployments").symlink_to(target)
    repository.commit()
    source = follow()
    on_disk = DirectorySource(repository.path, path="deployments", follow_links=False)
    for snapshot in (source.read(source.observe()), on_disk.read(on_disk.observe())):
        assert snapshot.files == ()
        assert [refused.path for refused in snapshot.refused] == ["deployments"]
        assert problem in snapshot.refused[0].message


def test_a_link_in_the_middle_of_the_path_is_named(repository: GitRepository, follow: Follow) -> None:
    repository.write("real/deployments/a.yaml", MANIFEST)
    (repository.path / "link").symlink_to("real")
    repository.commit()
    with pytest.raises(PathNotFoundError, match="use --path real/deployments"):
        paths(follow(path="link/deployments"))
    on_disk = DirectorySource(repository.path, path="link/deployments", follow_links=False)
    (refused,) = on_disk.read(on_disk.observe()).refused
    assert refused.path == "link"
    assert "use --path real/deployments" in refused.message
    assert paths(follow(path="real/deployments")) == ["real/deployments/a.yaml"]


def test_a_plain_directory_may_be_linked(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "deployments").symlink_to("real")
    source = DirectorySource(tmp_path, path="deployments")
    assert [file.path for file in source.read(source.observe()).files] == ["deployments/a.yaml"]
