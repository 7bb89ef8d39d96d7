"""Sources treat file names as bytes: they read and export them in any locale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GitRepository

READ = """
import json, sys
from pathlib import Path
from controller.sources.directory.source import DirectorySource
from controller.sources.git import GitSource

repo, exports, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if kind == "git":
    source = GitSource(repo, ref=None, path="deployments", exports=exports)
else:
    source = DirectorySource(repo, path="deployments")
revision = source.observe()
snapshot = source.read(revision)
code = source.code(revision)
asked = ["data/\\u017c\\u00f3\\u0142\\u0107.txt", "data/\\udcff.txt", "data/link", "data/none"]
print(json.dumps({
    "encoding": sys.getfilesystemencoding(),
    "manifests": [file.path for file in snapshot.files],
    "refused": [file.path for file in snapshot.refused],
    "contents": [code.read(path).decode() for path in code.find(asked)],
    "one": source.read_file(revision, asked[0]).decode(),
    "root": str(source.checkout(revision)),
    "again": source.read_file(revision, asked[0]).decode(),
}))
"""
LOCALES = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("kind", ["git", "directory"])
@pytest.mark.parametrize("encoding", LOCALES)
def test_names_that_the_locale_cannot_encode_are_read_and_exported(
    tmp_path: Path, repository: GitRepository, encoding: str, kind: str
) -> None:
    repository.write("deployments/żółw.yaml", "name: a\ncommand: [ls]\n")
    repository.write("data/żółć.txt", "zolc")
    repository.write(os.fsdecode(b"data/\xff.txt"), "odd")
    repository.write(os.fsdecode(b"deployments/\xff.yaml"), "name: b\ncommand: [ls]\n")
    (repository.path / "data/link").symlink_to("żółć.txt")
    repository.commit()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(repository.path), str(tmp_path / "exports"), kind],
        env={"PATH": os.defpath, **LOCALES[encoding]},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["encoding"] == encoding
    assert said["manifests"] == ["deployments/żółw.yaml"]
    assert said["refused"] == [r"deployments/\xff.yaml"]
    assert said["contents"] == ["zolc", "odd", "zolc"]
    assert (said["one"], said["again"]) == ("zolc", "zolc")
    names = sorted(os.listdir(os.fsencode(Path(said["root"]) / "data")))  # noqa: PTH208
    assert names == sorted([b"link", "żółć.txt".encode(), b"\xff.txt"])
