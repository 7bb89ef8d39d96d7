"""`controller validate`: every error with its location, and exit codes for CI."""

import json
import os
import re

import pytest

from tests.acceptance.harness import CONTROLLER, Folder, Repository

pytestmark = pytest.mark.acceptance

GOOD = "name: good\ncommand: ['true']\n"
BAD = "name: bad\ncommand: ['true']\nschedules:\n  - cron: 61 * * * *\ntimout: 1h\n"


def test_a_broken_file_is_reported_with_line_and_column(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.write("deployments/sub/bad.yaml", BAD)
    answer = repository.machine.controller("validate", cwd=repository.root)
    assert answer.code == 1
    lines = answer.out.splitlines()
    assert any(line.startswith("deployments/sub/bad.yaml:4:11: error: ") for line in lines), lines
    assert any(line.startswith("deployments/sub/bad.yaml:5:1: error: ") for line in lines), lines
    assert "timeout" in answer.out
    assert not [line for line in lines if "good.yaml" in line]
    assert "2 files" in answer.err

    found = repository.ask("validate", "-o", "json")
    assert found.code == 1
    report = found.json()
    assert (report["valid"], report["files"], report["deployments"]) == (False, 2, 1)
    first = report["findings"][0]
    assert first.keys() == {"severity", "code", "message", "hint", "file", "line", "column", "path", "deployment"}
    assert first["file"].endswith("deployments/sub/bad.yaml")
    assert (first["severity"], first["deployment"]) == ("error", "bad")
    assert {(finding["line"], finding["column"]) for finding in report["findings"]} == {(4, 11), (5, 1)}


def test_verbose_lists_deployments_with_their_next_fire_times(repository: Repository) -> None:
    good = "name: good\ncommand: ['true']\nschedule: {interval: 1d, timezone: Europe/Berlin, jitter: 5m}\n"
    repository.write("deployments/good.yaml", good)
    repository.write("deployments/sub/bad.yaml", BAD)
    text = repository.machine.controller("validate", "-v", cwd=repository.root)
    assert text.code == 1
    lines = text.out.splitlines()
    assert lines[0].startswith("deployments/sub/bad.yaml:4:11: error: ")
    assert lines[-2] == "deployments/good.yaml:1: good"
    assert lines[-1].startswith("    every day at 00:00, Europe/Berlin, up to 5 minutes later; next at 20")
    short, full = (repository.ask("validate", "-o", "json", *more).json() for more in ([], ["--verbose"]))
    assert {**short, "declared": full["declared"]} == full
    [declared] = full["declared"]
    [schedule] = declared.pop("schedules")
    assert declared.pop("file").endswith("deployments/good.yaml")
    assert declared == {"name": "good", "line": 1, "suspended": False, "triggers": []}
    assert schedule.keys() == {"id", "text", "timezone", "suspended", "next_fire_time"}
    assert schedule["next_fire_time"].endswith(("T22:00:00Z", "T23:00:00Z"))
    refused = repository.ask("validate", "--verbose", "-o", "github")
    assert (refused.code, refused.out) == (2, "")
    assert "--verbose cannot be used with -o github" in refused.err


def test_a_clock_change_is_a_warning_with_its_date_and_not_an_error(repository: Repository) -> None:
    text = "name: good\ncommand: ['true']\nschedule: {cron: '30 2 * * *', timezone: Europe/Berlin}\n"
    repository.write("deployments/good.yaml", text)
    report = repository.ask("validate", "-o", "json").json()
    assert (report["valid"], report["deployments"]) == (True, 1)
    [finding] = report["findings"]
    assert (finding["severity"], finding["code"], finding["path"]) == ("warning", "ClockChange", "$.schedule.cron")
    assert re.search(r"20\d\d-10-\d\d 02:30 happens twice in Europe/Berlin", finding["message"])
    assert re.search(r"20\d\d-03-\d\d 02:30 does not exist in Europe/Berlin", finding["message"])
    repository.write("deployments/good.yaml", text.replace("Berlin}", "Berlin, dst: {gap: skip, repeat: first}}"))
    assert repository.ask("validate", "-o", "json").json()["findings"] == []


def test_validate_reads_the_files_on_disk_and_writes_and_runs_nothing(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.write(
        "flows/a.py", "import not_installed_anywhere\nraise SystemExit('imported')\ndef main() -> None: ...\n"
    )
    repository.write("deployments/a.yaml", "name: a\nflow: flows/a.py:main\n")
    revision = repository.commit()
    repository.write("deployments/good.yaml", "name: [\n")
    assert repository.ask("validate").code == 1
    assert not repository.state.exists()
    repository.git("checkout", "-q", ".")
    assert repository.ask("validate").code == 0
    assert revision.endswith(repository.git("rev-parse", "HEAD"))
    assert repository.git("status", "--porcelain") == ""


def test_paths_may_be_files_directories_and_repositories(repository: Repository) -> None:
    repository.write("deployments/good.yaml", GOOD)
    repository.write("deployments/bad.yaml", BAD)
    ask = repository.machine.controller
    root = repository.root
    assert ask("validate", root).code == 1
    assert ask("validate", root / "deployments").code == 1
    assert ask("validate", "deployments/good.yaml", cwd=root).code == 0
    one = ask("validate", root / "deployments" / "bad.yaml", "-o", "json")
    assert one.code == 1
    assert one.json()["files"] == 1
    both = ask("validate", "bad.yaml", "good.yaml", "-o", "json", cwd=root / "deployments").json()
    assert (both["files"], both["deployments"]) == (2, 1)
    assert {finding["file"] for finding in both["findings"]} == {"bad.yaml"}
    below = ask("validate", cwd=root / "deployments")
    assert below.code == 1
    missing = ask("validate", "deployments/missing.yaml", cwd=root)
    assert (missing.code, missing.out) == (2, "")
    assert "deployments/missing.yaml" in missing.err
    no_directory = repository.ask("validate", "--path", "elsewhere")
    assert no_directory.code == 2
    assert "elsewhere" in no_directory.err


def test_a_directory_without_files_has_no_findings(folder: Folder) -> None:
    (folder.root / "deployments").mkdir()
    answer = folder.ask("validate", "-o", "json")
    assert answer.code == 0
    assert answer.json() == {"valid": True, "files": 0, "deployments": 0, "disabled": 0, "findings": []}
    folder.write("deployments/empty.yaml", "# nothing yet\n")
    folder.write("deployments/.hidden.yaml", "{{{\n")
    folder.write("deployments/notes.txt", "{{{\n")
    empty = folder.ask("validate", "-o", "json")
    assert empty.json()["files"] == 1


def test_hostile_files_are_reported_quickly(folder: Folder) -> None:
    aliases = "\n".join(f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(20))
    folder.write("deployments/aliases.yaml", f"a: &a0 x\n{aliases}\n")
    folder.write("deployments/brackets.yaml", "[" * 60_000)
    folder.write("deployments/large.yaml", "#" * (1 << 20) + "\nname: a\n")
    folder.write("deployments/good.yaml", GOOD)
    folder.write("deployments/tag.yaml", "name: !!python/object/apply:os.system ['touch /tmp/owned']\n")
    folder.write("deployments/twice.yaml", "name: a\nname: b\ncommand: [x]\n")
    folder.write("deployments/bytes.yaml", "").write_bytes(b"name: \xff\xfe\n")
    folder.write("deployments/escape.yaml", 'name: "a\\e[31m"\ncommand: [x]\n')
    folder.write("deployments/deep.json", json.dumps({"name": "deep", "parameters": {}}) + "}" * 10)
    (folder.root / "deployments" / "link.yaml").symlink_to("/etc/passwd")
    (folder.root / "deployments" / "dangling.yaml").symlink_to("nowhere.yaml")
    (folder.root / "deployments" / "folder.yaml").mkdir()
    answer = folder.ask("validate", "-o", "json")
    assert answer.code == 1
    report = answer.json()
    assert report["deployments"] == 1
    bad = {finding["file"].rpartition("/")[2] for finding in report["findings"] if finding["severity"] == "error"}
    assert bad == {
        "aliases.yaml",
        "brackets.yaml",
        "large.yaml",
        "tag.yaml",
        "twice.yaml",
        "bytes.yaml",
        "escape.yaml",
        "deep.json",
        "link.yaml",
        "dangling.yaml",
    }
    assert all(finding["line"] >= 1 and finding["column"] >= 1 for finding in report["findings"])
    assert "\x1b" not in folder.ask("validate").out


def test_a_string_for_a_list_parameter_is_reported_before_anything_runs(repository: Repository) -> None:
    repository.write(
        "flows/my_flow.py", "from typing import List\ndef calculator(nums: List[int]):\n    return sum(nums)\n"
    )
    repository.write(
        "deployments/my.yaml",
        """
        name: my-first-deployment
        flow_location: ../flows/my_flow.py
        flow_name: calculator
        parameters:
          nums: "[1, 2, 3, 4]"
        """,
    )
    (finding,) = repository.ask("validate", "-o", "json").json()["findings"]
    assert (finding["code"], finding["line"], finding["column"]) == ("WrongParameterType", 5, 9)
    assert finding["hint"] == "write it as a YAML list: [1, 2, 3, 4]"
    assert finding["path"] == "$.parameters.nums"


def test_validate_needs_no_network(repository: Repository) -> None:
    repository.write("flows/a.py", "import not_installed_anywhere\ndef main(days: int) -> None: ...\n")
    repository.write("deployments/a.yaml", "name: a\nflow: flows/a.py:main\nparameters: {days: soon}\n")
    repository.commit()
    alone = repository.machine.run("unshare", "-rn", CONTROLLER, "validate", "-o", "json", cwd=repository.root)
    assert alone.code == 1, alone
    assert alone.json() == repository.machine.controller("validate", "-o", "json", cwd=repository.root).json()
    assert [finding["code"] for finding in alone.json()["findings"]] == ["WrongParameterType"]


def test_missing_flows_are_not_reported_for_files_outside_of_a_repository(folder: Folder) -> None:
    loose = folder.write("loose/a.yaml", "name: a\nflow: flows/a.py:main\nparameters: {days: x}\n")
    assert folder.machine.controller("validate", loose).code == 0
    folder.write("loose/flows/a.py", "def main(days: int) -> None: ...\n")
    assert "WrongParameterType" in folder.machine.controller("validate", loose).out


def test_an_unreadable_flow_is_not_reported_as_missing(repository: Repository) -> None:
    repository.write("flows/shut.py", "def main(): ...\n").chmod(0)
    repository.write("deployments/a.yaml", "name: a\nflow: flows/shut.py:main\n")
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    answer = repository.machine.run(*powerless, CONTROLLER, "validate", cwd=repository.root)
    assert answer.code == 1, answer
    assert "flows/shut.py:1: the file can't be read: Permission denied [FlowFileInvalid]" in answer.out


def test_a_bare_repository_is_validated_at_its_branch(repository: Repository) -> None:
    repository.write("flows/a.py", "def main(days: int) -> None: ...\n")
    repository.write("deployments/a.yaml", "name: a\nflow: flows/a.py:main\nparameters: {days: soon}\n")
    repository.commit()
    bare = repository.root.parent / "bare.git"
    repository.git("clone", "--quiet", "--bare", ".", str(bare))
    for answer in (
        repository.machine.controller("validate", "--repo", bare),
        repository.machine.controller("validate", cwd=bare),
    ):
        assert "deployments/a.yaml:3:20: error: days: expected int" in answer.out, answer
    assert not (bare / ".controller").exists()


def test_a_link_is_the_same_finding_if_it_is_named(repository: Repository) -> None:
    repository.write("deployments/a.yaml", GOOD)
    (repository.root / "deployments/b.yaml").symlink_to("a.yaml")
    (repository.root / "other").symlink_to("deployments")
    for path, codes in (
        ("deployments/b.yaml", ["RefusedFile"]),
        ("other/b.yaml", ["RefusedFile"]),
        ("other/a.yaml", []),
    ):
        report = repository.ask("validate", "-o", "json", str(repository.root / path)).json()
        assert [finding["code"] for finding in report["findings"]] == codes, path


def test_findings_are_sorted_by_file(repository: Repository) -> None:
    for name in ("a", "c"):
        repository.write(f"deployments/{name}.yaml", BAD)
    (repository.root / "deployments/b.yaml").symlink_to("a.yaml")
    found = repository.ask("validate", "-o", "json").json()["findings"]
    assert [finding["file"] for finding in found] == sorted(finding["file"] for finding in found)
    assert "RefusedFile" in {finding["code"] for finding in found}


def test_an_error_in_the_defaults_is_reported_once(repository: Repository) -> None:
    repository.write("controller.yaml", "defaults: {parameters: {days: soon}}\n")
    repository.write("flows/a.py", "def main(days: int) -> None: ...\n")
    for name in ("a", "b", "c"):
        repository.write(f"deployments/{name}.yaml", f"name: {name}\nflow: flows/a.py:main\n")
    report = repository.ask("validate", "-o", "json").json()
    assert (report["valid"], report["deployments"]) == (False, 0)
    [finding] = report["findings"]
    assert (finding["code"], finding["line"], finding["column"]) == ("WrongParameterType", 1, 31)
    assert finding["deployment"] is None
