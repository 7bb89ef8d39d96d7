"""The hint for a command line is equivalent to that line, and commands that need a shell give a warning."""

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from controller.manifests.command_checks import as_list, yaml_word
from controller.manifests.reader import ManifestReader
from controller.model.findings import Finding
from tests.unit.manifests.conftest import NOW, Read, manifest
from tests.written_code import WrittenCode


def hinted(read: Read, line: str) -> list[str]:
    """The command that the hint for the text `line` names, as the controller reads it."""
    (finding,) = read(f"name: a\ncommand: {yaml.safe_dump(line, default_style=chr(34), width=10_000)}").findings
    assert (finding.code, finding.path) == ("WrongType", "$.command")
    written = (finding.hint or "").removeprefix("write it as a list: ")
    state = read(f"name: a\ncommand: {written}\n")
    assert state.findings == ()
    command: list[str] = state.deployments["a"].document["command"]
    return command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("pg_dump x | gzip > y", ["sh", "-c", "pg_dump x | gzip > y"]),
        ("echo \"a: b\" && echo 'c' # d", ["sh", "-c", "echo \"a: b\" && echo 'c' # d"]),
        ("python report.py --day 1", ["python", "report.py", "--day", "1"]),
        ("python report.py --title 'a, b: c'", ["python", "report.py", "--title", "a, b: c"]),
        ("TZ=UTC date", ["sh", "-c", "TZ=UTC date"]),
        ("cd reports", ["sh", "-c", "cd reports"]),
        ("echo $HOME", ["sh", "-c", "echo $HOME"]),
        ("echo 'it''s", ["sh", "-c", "echo 'it''s"]),
        ("true", ["true"]),
        ("ls no 1.5 null ~x", ["sh", "-c", "ls no 1.5 null ~x"]),
    ],
)
def test_the_hint_for_a_command_line_is_an_equivalent_list(read: Read, line: str, command: list[str]) -> None:
    assert hinted(read, line) == command


def test_a_pipe_works_when_the_hint_is_followed(read: Read, tmp_path: Path) -> None:
    command = hinted(read, "printf 'b\\na\\n' | sort > sorted")
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "sorted").read_text() == "a\nb\n"


@example(words=[":0"])
@given(words=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])), min_size=1))
def test_any_word_is_read_back_unchanged(words: list[str]) -> None:
    written = f"name: a\nparameters: {{x: [{', '.join(map(yaml_word, words))}]}}\ncommand: [cat]\n"
    state = ManifestReader().read([manifest("deployments/a.yaml", written)], NOW)
    assert state.deployments["a"].parameters == {"x": words}


def test_a_string_instead_of_tags_is_split_in_the_hint(read: Read) -> None:
    (finding,) = read('name: a\ncommand: [cat]\ntags: "etl, 1, a: b"\n').findings
    assert finding.hint == 'write it as a list: [etl, "1", "a: b"]'


def test_a_very_long_command_line_has_a_short_hint(read: Read) -> None:
    assert as_list("x " * 2000) is None
    (finding,) = read(f"name: a\ncommand: {'x ' * 2000}\n").findings
    assert finding.hint == "write the command as a list, with one item per word"


@pytest.mark.parametrize(
    ("command", "path", "hint"),
    [
        ("[pg_dump x | gzip > y]", "[0]", 'write command: [sh, -c, "pg_dump x | gzip > y"]'),
        ("[python report.py]", "[0]", "write command: [python, report.py]"),
        ("[python report.py, --all]", "[0]", "write command: [python, report.py, --all]"),
        ("[cat $FILE]", "[0]", 'write command: [sh, -c, "cat $FILE"]'),
        ('[pg_dump, x, "|", gzip]', "[2]", 'write command: [sh, -c, "pg_dump x | gzip"]'),
        ('[date, ">", y z]', "[1]", "write command: [sh, -c, \"date > 'y z'\"]"),
    ],
)
def test_following_the_hint_for_a_shell_command_removes_the_warning(
    read: Read, command: str, path: str, hint: str
) -> None:
    (finding,) = read(f"name: a\ncommand: {command}\n").findings
    assert (finding.code, finding.path, finding.hint) == ("ShellCommand", f"$.command{path}", hint)
    assert read(f"name: a\n{hint.removeprefix('write ')}\n").findings == ()


@pytest.mark.parametrize(
    "command", ['[sh, -c, "a | b > c"]', '["[", a, "=", b, "]"]', '[expr, "1", ">", "2"]', "[echo, a b, $X]"]
)
def test_arguments_may_contain_any_characters(read: Read, command: str) -> None:
    assert read(f"name: a\ncommand: {command}\n").findings == ()


def files_named(command: str, *, directory: str = "", **files: str) -> tuple[Finding, ...]:
    where = f"working_directory: {directory}\n" if directory else ""
    file = manifest("deployments/a.yaml", f"name: a\ncommand: {command}\n{where}")
    code = WrittenCode({name.replace("__", "/").replace("_", "."): text for name, text in files.items()})
    return ManifestReader().read([file], NOW, code=code).findings


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("[./run.sh]", "[0]"),
        ("[bin/run, x]", "[0]"),
        ("[python, report.py, --all]", "[1]"),
        ("[python3.11, -u, report.py]", "[2]"),
        ("[bash, -e, job.sh]", "[2]"),
        ("[bash, -lc, job.sh]", None),
        ("[sh, -ec, job.sh]", None),
        ("[sh, job.sh]", "[1]"),
        ("[/bin/sh, scripts/job.sh]", "[1]"),
        ("[python, -m, report]", None),
        ("[python, -c, report.py]", None),
        ("[cat, report.py]", None),
        ("[python, /opt/report.py]", None),
        ("[/opt/run.sh]", None),
        ("[run.sh]", None),
        ("[env, python, report.py]", "[2]"),
        ("[/usr/bin/env, -i, -u, HOME, A=b.py, python3, -u, report.py]", "[7]"),
        ("[nice, -n, '10', python, report.py]", "[4]"),
        ("[timeout, -k, 5s, 1h, bash, job.sh]", "[5]"),
        ("[nohup, nice, ./run.sh]", "[2]"),
        ("[stdbuf, -oL, env, sh, job.sh]", "[4]"),
        ("[./env, python, report.py]", "[0]"),
        ("[env, -C, reports, python, report.py]", None),
        ("[env, -S, python report.py]", None),
        ("[env, run.sh]", None),
        ("[env]", None),
        ("[timeout, 1h]", None),
    ],
)
def test_a_script_missing_from_the_repository_gives_a_warning(command: str, path: str | None) -> None:
    found = [(finding.code, finding.path) for finding in files_named(command)]
    assert found == ([] if path is None else [("CommandFileMissing", f"$.command{path}")])


def test_a_script_path_is_relative_to_the_working_directory() -> None:
    assert files_named("[python, report.py]", directory="reports", reports__report_py="") == ()
    (finding,) = files_named("[python, report.py]", directory="reports", report_py="", reports__other_py="")
    assert finding.message == "file reports/report.py does not exist"
    assert finding.hint == "commit it, or correct the path, which is relative to the working directory reports"


def test_a_script_used_as_program_needs_a_path() -> None:
    (finding,) = files_named("[run.sh]", run_sh="")
    assert finding.hint == "write ./run.sh"
    assert files_named("[./run.sh]", run_sh="") == ()


@pytest.mark.parametrize(
    "command",
    [
        "[cut, -d, '|', -f, '1']",
        "[sort, -t, '|', sorted]",
        "[column, -s, '|', -t]",
        "[tr, '|', ',']",
        "[paste, -d, '&', a]",
        "[export-table, --separator, '|', sales]",
        "[compare, --op, '>', 5]",
        "[filter, '>']",
        "[bash, -lc, 'a && b']",
        "[dbt, run, --select, 'tag:x']",
    ],
)
def test_a_shell_operator_as_delimiter_option_is_an_argument(read: Read, command: str) -> None:
    assert [one.code for one in read(f"name: a\ncommand: {command}\n").findings if one.code == "ShellCommand"] == []


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("[report, '2>/dev/null']", 'write command: [sh, -c, "report 2>/dev/null"]'),
        ("[report, '>out.log']", 'write command: [sh, -c, "report >out.log"]'),
        ("[a, ;, b]", 'write command: [sh, -c, "a ; b"]'),
        ("[A=b, report, x]", "write env: {A: b}, and command: [report, x]"),
        ("[source, env.sh]", 'write command: [sh, -c, "source env.sh"]'),
        ("[cd, reports]", "set working_directory to the directory, and start the command with the program"),
    ],
)
def test_shell_syntax_other_than_operators_gives_a_warning(read: Read, command: str, hint: str) -> None:
    (finding,) = read(f"name: a\ncommand: {command}\n").findings
    assert (finding.code, finding.hint) == ("ShellCommand", hint)


def test_the_hint_keeps_the_lines_of_a_script(read: Read) -> None:
    (finding,) = read("name: a\ncommand: |\n  a\n  b\n").findings
    assert finding.hint == 'write it as a list: [sh, -c, "a\\nb"]'
