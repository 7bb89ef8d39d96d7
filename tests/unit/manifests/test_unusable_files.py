"""Files with unexpected content get a finding that names the cause. Upper-case file names work too."""

import pytest

from controller.manifests.reader import ManifestReader
from controller.model.findings import Finding, Severity
from controller.model.snapshots import is_manifest, is_python
from tests.unit.manifests.conftest import NOW, Read, manifest
from tests.written_code import WrittenCode

GOOD = "name: a\ncommand: [cat]\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
CONFLICT = b"x = 1\n<<<<<<< HEAD\nx = 2\n=======\nx = 3\n>>>>>>> topic\n"


@pytest.mark.parametrize(
    ("content", "code", "line", "says", "hint"),
    [
        (
            f"{GOOD}<<<<<<< HEAD\ntags: [a]\n=======\ntags: [b]\n>>>>>>> topic\n".encode(),
            "NotAManifest",
            3,
            "merge",
            "keep",
        ),
        (b"<<<<<<<\r\na: 1\r\n=======\r\n>>>>>>>\r\n", "NotAManifest", 1, "merge conflict", "keep one side"),
        (POINTER, "NotAManifest", 1, "Git LFS pointer", "git lfs untrack"),
        (b"\0GITCRYPT\0\x8a\x01", "NotAManifest", 1, "encrypted with git-crypt", "git-crypt"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n6231\n", "NotAManifest", 1, "encrypted with Ansible Vault", "decrypted"),
        (b"\x1f\x8b\x08\0\0", "NotAManifest", 1, "gzip", "text file"),
        (GOOD.encode("utf-16"), "NotUtf8", 1, "UTF-16", "UTF-8"),
        (GOOD.encode("utf-16-le"), "NotUtf8", 1, "UTF-16", "UTF-8"),
    ],
)
def test_the_finding_for_an_unusable_manifest_names_the_cause(
    read: Read, content: bytes, code: str, line: int, says: str, hint: str
) -> None:
    (finding,) = read(content).findings
    assert (finding.code, finding.line, finding.column) == (code, line, 1)
    assert says in finding.message
    assert hint in (finding.hint or "")


def test_conflict_markers_inside_a_string_are_allowed(read: Read) -> None:
    assert read(f"{GOOD}description: |\n  <<<<<<< HEAD\n  =======\n  >>>>>>> x\n").findings == ()
    assert read(f"{GOOD}description: '======='\n").findings == ()


def findings(declared: str, **files: bytes) -> tuple[Finding, ...]:
    code = WrittenCode({name.replace("_", "."): content for name, content in files.items()})
    return ManifestReader().read([manifest("deployments/a.yaml", declared)], NOW, code=code).findings


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (POINTER, "f.py:1: this is a Git LFS pointer"),
        (CONFLICT, "f.py:2: an unresolved merge conflict"),
        (b"\0GITCRYPT\0\x8a\x01", "f.py:1: this file is encrypted with git-crypt"),
        ("def m(): ...\n".encode("utf-16"), "f.py:1: this file is UTF-16"),
    ],
)
def test_the_finding_for_an_unusable_flow_names_the_cause(content: bytes, says: str) -> None:
    (finding,) = findings("name: a\nflow: f.py:m\n", f_py=content)
    assert (finding.code, finding.severity) == ("FlowFileInvalid", Severity.ERROR)
    assert says in finding.message
    assert finding.hint


@pytest.mark.parametrize(
    ("command", "content", "says"),
    [
        ("[./run.sh]", b"#!/bin/sh\r\necho\r\n", "run.sh:1: the #! line ends with CRLF"),
        ("[./run.sh]", POINTER, "run.sh:1: this is a Git LFS pointer"),
        ("[sh, run.sh]", CONFLICT, "run.sh:2: an unresolved merge conflict"),
        ("[./run.sh]", b"#!/bin/sh\necho\n", None),
        ("[sh, run.sh]", b"#!/bin/sh\r\necho\n", None),
        ("[./run.sh]", b"\x7fELF\x02\x01", None),
    ],
)
def test_the_finding_for_an_unusable_script_names_the_cause(command: str, content: bytes, says: str | None) -> None:
    found = findings(f"name: a\ncommand: {command}\n", run_sh=content)
    assert [finding.code for finding in found] == ([] if says is None else ["CommandFileInvalid"])
    assert says is None or says in found[0].message


@pytest.mark.parametrize("path", ["D.YAML", "a/b.Yml", "c.JSON", "d.PY", "e.yaml"])
def test_an_upper_case_file_name_is_a_manifest(path: str) -> None:
    assert is_manifest(f"deployments/{path}")
    assert is_python(path) == path.lower().endswith(".py")


def test_json_in_upper_case_is_read_as_json() -> None:
    content = '{"name": "a", "command": ["\\ud83d\\ude00"]}'
    state = ManifestReader().read([manifest("deployments/A.JSON", content)], NOW)
    assert state.deployments["a"].document["command"] == ["\N{GRINNING FACE}"]


def test_two_paths_that_differ_in_case_only_are_both_read_with_a_warning() -> None:
    files = [
        manifest("deployments/D.yaml", GOOD),
        manifest("deployments/d.YAML", GOOD.replace("a", "b", 1).replace("nbme", "name")),
    ]
    state = ManifestReader().read(files, NOW)
    assert [(one.code, one.file, one.severity) for one in state.findings if one.code == "PathClash"] == [
        ("PathClash", "deployments/d.YAML", Severity.WARNING)
    ]
