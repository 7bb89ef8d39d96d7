"""`--help`: commands in groups, one line each, and two examples per command that can be parsed."""

import re
import shlex

import click
import pytest

from controller.cli.examples import EXAMPLES
from controller.cli.main import COMMANDS, GROUPS, cli
from tests.generated.option_tables import leaves
from tests.unit.cli.conftest import Command

LEAVES = dict(leaves())
LOCATION = "Location options: --repo, --path, --ref, --environment, --state-dir."


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


@pytest.mark.parametrize(("name", "example"), [(name, line) for name, lines in EXAMPLES.items() for line in lines])
def test_an_example_can_be_parsed(name: str, example: str) -> None:
    words = shlex.split(re.sub(r"[()<]| >.*|^source ", " ", example))
    assert words[: 1 + len(name.split())] == ["controller", *name.split()]
    rest = words[1 + len(name.split()) :]
    with LEAVES[name].make_context(name, rest, parent=click.Context(cli)) as context:
        assert context.params is not None


def test_there_are_examples_of_exactly_the_existing_commands() -> None:
    assert EXAMPLES.keys() == LEAVES.keys()
