"""`--help`: commands in groups, one line each, and two examples per command that can be parsed."""

import re
import shlex

import click
import pytest

from controller.cli.examples import EXAMPLES
from controller.cli.main import COMMANDS, GROUPS, cli
from tests.generated.option_tables import leaves
from tests.unit.cli.conftest import Command, Followed

LEAVES = dict(leaves())
LOCATION = "Location options: --repo, --path, --ref, --environment, --state-dir, --state-url, --project."


def test_the_help_shows_every_command_in_a_group_with_a_full_line(command: Command) -> None:
    text = command("--help").out
    assert "…" not in text
    assert "..." not in text.partition("\n")[2]
    titles = [*GROUPS, "Location options of all commands that use a repository"]
    assert [line[:-1] for line in text.splitlines() if re.fullmatch(r"\w.*:", line)][1:] == titles
    for name in COMMANDS:
        [line] = re.findall(rf"^  {name}  .*", text, re.MULTILINE)
        assert line.endswith("."), line
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("group", ["runs", "deployments", "backfills", "deployment"])
def test_a_group_shows_a_full_line_per_command(command: Command, group: str) -> None:
    lines = command(group, "--help").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines] == sorted(name.split()[1] for name in LEAVES if f"{group} " in name)
    assert all(line.endswith(".") for line in lines)


@pytest.mark.parametrize("name", LEAVES)
def test_the_help_of_a_command_ends_with_two_examples(command: Command, name: str) -> None:
    text = command(*name.split(), "--help").out
    examples = [line.strip() for line in text.partition("Examples:\n")[2].splitlines()]
    assert tuple(examples) == EXAMPLES[name]
    assert len(examples) == 2
    has_location = any(option.name == "state_dir" for option in LEAVES[name].params)
    assert (LOCATION in " ".join(text.split())) is has_location
    assert "--state-dir DIR" not in text
    assert ("--help-all" in text) is has_location


def test_location_options_are_described_on_request(command: Command) -> None:
    text = command("runs", "list", "--help-all")
    assert (text.code, "--state-dir DIR" in text.out, LOCATION in text.out) == (0, True, False)
    assert text.out.endswith(f"  {EXAMPLES['runs list'][1]}\n")


@pytest.mark.parametrize("words", [(), ("runs",), ("runs", "list"), ("deployment", "ls")])
def test_help_is_also_a_command(command: Command, words: tuple[str, ...]) -> None:
    assert command("help", *words) == command(*words, "--help")
    unknown = command("help", "runz")
    assert (unknown.code, "There is no command 'runz'. Did you mean " in unknown.err) == (2, True)


def test_aliases_name_the_command_that_they_are_the_same_as(command: Command) -> None:
    for alias, original in (("ls", "deployments list"), ("run", "trigger")):
        assert f"Same as `controller {original}`." in command("deployment", "--help").out
        own, other = (command(*name, "--help").out for name in (("deployment", alias), original.split()))
        assert other.partition("Options:")[2].partition("Examples:")[0] in own


def test_the_state_scheduled_is_accepted_but_not_shown(followed: Followed) -> None:
    assert "scheduled" not in followed("runs", "list", "--help").out
    assert followed("runs", "list", "--state", "scheduled", "-o", "json").json == []
    unknown = followed("runs", "list", "--state", "schedule")
    assert (unknown.code, "scheduled" in unknown.err) == (2, False)


@pytest.mark.parametrize(("name", "example"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_can_be_parsed(name: str, example: str) -> None:
    words = shlex.split(re.sub(r"[()<]| >.*|^source ", " ", example))
    assert words[: 1 + len(name.split())] == ["controller", *name.split()]
    rest = words[1 + len(name.split()) :]
    with LEAVES[name].make_context(name, rest, parent=click.Context(cli, **cli.context_settings)) as context:
        assert context.params is not None


def test_there_are_examples_of_exactly_the_existing_commands() -> None:
    assert EXAMPLES.keys() == LEAVES.keys()


def test_the_help_of_completion_has_a_line_per_shell(command: Command) -> None:
    text = command("completion", "--help").out
    assert [line.split()[0] for line in text.splitlines() if ": " in line][1:4] == ["bash:", "zsh:", "fish:"]
