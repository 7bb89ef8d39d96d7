"""docs/cli.md documents exactly the existing commands, options, variables and JSON fields."""

import re

import click
import pytest

from controller.model.backfills import BackfillProgress
from controller.model.runs import LastRun, Run
from controller.model.status import Condition, SourceStatus
from controller.queries.deployment_details import DeploymentDetail, ScheduleView
from controller.queries.python_environments import PythonEnvironmentRow
from controller.queries.serialization import field_names
from controller.queries.status import ControllerView, RunCounts, StatusView
from tests.docs.pages import DOCS, Section, first_cells, sections
from tests.generated.option_tables import command_name, leaves

PAGE = DOCS / "cli.md"
SECTIONS = list(sections(PAGE, 2))
SHARED = {
    "[location options](#location-options)": next(one for one in SECTIONS if one.title == "Location options"),
    "[output option](#output-option)": next(one for one in SECTIONS if one.title == "Output option"),
}


COMMANDS = dict(leaves())
DOCUMENTED = {command_name(one.title): one for one in SECTIONS if one.title.startswith("`controller ")}


def documented_options(section: Section) -> set[str]:
    cells = " ".join(first_cells(section.text))
    for mark, shared in SHARED.items():
        if mark in section.text:
            cells += " ".join(first_cells(shared.text)) + shared.text
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", cells))


def documented_variables(section: Section) -> set[str]:
    texts = [section.text, *(shared.text for mark, shared in SHARED.items() if mark in section.text)]
    return {name for text in texts for name in re.findall(r"(?:CONTROLLER|OTEL)_[A-Z_]+", text)}


def options_of(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def test_the_page_documents_exactly_the_existing_commands() -> None:
    assert set(DOCUMENTED) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented_with_exactly_its_options(name: str) -> None:
    found = {text for option in options_of(COMMANDS[name]) for text in (*option.opts, *option.secondary_opts)}
    assert documented_options(DOCUMENTED[name]) == found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented_with_exactly_its_variables(name: str) -> None:
    found = {option.envvar for option in options_of(COMMANDS[name]) if option.envvar}
    assert documented_variables(DOCUMENTED[name]) == found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented_with_exactly_its_arguments(name: str) -> None:
    written = re.findall(r"\[?[A-Z]{2,}\]?|\[deployment(?:\|project)?\]", DOCUMENTED[name].title)
    arguments = [parameter for parameter in COMMANDS[name].params if isinstance(parameter, click.Argument)]
    assert len(written) == len(arguments)
    for text, argument in zip(written, arguments, strict=True):
        assert text.startswith("[") is not argument.required


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("status", StatusView),
        ("status", ControllerView),
        ("status", SourceStatus),
        ("status", RunCounts),
        ("status", Condition),
        ("deployments list", LastRun),
        ("deployments show", DeploymentDetail),
        ("deployments show", ScheduleView),
        ("runs list", Run),
        ("backfills list", BackfillProgress),
        ("python list", PythonEnvironmentRow),
    ],
)
def test_every_field_of_the_json_is_documented(name: str, view: type) -> None:
    text = DOCUMENTED[name].text
    if name == "deployments show":  # which says "as above, and"
        text += DOCUMENTED["deployments list"].text
    assert [key for key in field_names(view) if f"`{key}`" not in text] == []
