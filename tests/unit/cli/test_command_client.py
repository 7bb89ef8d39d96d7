"""Only commands that read, and that end by themselves, are forwarded to the controller."""

import pytest

from controller.cli.command_client import is_forwarded
from controller.cli.main import GROUPS
from tests.generated.option_tables import leaves

READING = {
    "status",
    "deployments list",
    "deployments show",
    "runs list",
    "runs show",
    "runs logs",
    "events",
    "occurrences",
    "next",
    "backfills list",
    "backfills show",
    "graph",
    "python list",
    "python show",
}


def test_exactly_the_commands_that_read_are_forwarded() -> None:
    forwarded = {name for name, _ in leaves() if is_forwarded([*name.split(), "x"])}
    assert forwarded == READING
    assert {name.split()[0] for name in forwarded} <= {*GROUPS["Look"], "python"}


@pytest.mark.parametrize("options", [["--watch"], ["-w"], ["-ow"], ["-f"], ["--follow"]])
def test_commands_that_wait_are_not_forwarded(options: list[str]) -> None:
    assert not is_forwarded(["runs", "list", *options])
    assert not is_forwarded(["runs", "logs", "abc", *options])


def test_a_group_without_a_subcommand_lists_and_is_forwarded() -> None:
    assert is_forwarded(["runs"])
    assert is_forwarded(["runs", "--state", "failed"])
    assert not is_forwarded([])
