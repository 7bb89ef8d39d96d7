"""`controller init`: write a small example repository to start from."""

import shlex
from pathlib import Path

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.errors import SourceError, UsageError

_FLOW = '''\
"""A flow is a plain function. Its parameters come from the deployment."""


def hello(name: str, excited: bool = False) -> str:
    greeting = f"Hello, {name}{'!' if excited else '.'}"
    print(greeting)
    return greeting
'''

DEPLOYMENT = """\
# yaml-language-server: $schema=../schemas/deployment.v1.schema.json
name: hello
flow: flows/hello.py:hello
description: Says hello; change me and commit.
tags: [example]
parameters: {name: world}
schedules:
  - cron: "0 9 * * mon-fri"
    timezone: Europe/Berlin
    parameters: {excited: true}
  - interval: 30s  # at 09:00 the cron schedule above takes precedence: one run, with excited: true
"""

_WORKFLOW = """\
name: validate
on: [push, pull_request]
permissions: {contents: read}
jobs:
  validate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.11"}
      - run: pip install flow-controller
      - run: controller validate
"""
_MESSAGE = "Start with one flow and one deployment"


@click.command(cls=Command)
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@options.output
def init(directory: Path, output: str) -> None:
    """Create a working example repository.

    It has a flow, its deployment, a CI workflow and the JSON Schema. Existing files are never overwritten.
    """
    from controller.git_directory import is_git_repository
    from controller.manifests.schema_validation import deployment_schema_text
    from controller.settings import enclosing_repository

    files = {
        "flows/hello.py": _FLOW,
        "deployments/hello.yaml": DEPLOYMENT,
        ".github/workflows/validate.yml": _WORKFLOW,
        "schemas/deployment.v1.schema.json": deployment_schema_text(),
    }
    Path.cwd()  # raises FileNotFoundError early: git cannot start in a deleted directory
    existing = [name for name in files if (directory / name).exists()]
    if existing:
        raise UsageError(
            f"{directory / existing[0]} already exists; nothing was written.", hint="Choose another directory."
        )
    try:
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {error.filename}: {error.strerror}.") from error
    is_new = not is_git_repository(enclosing_repository(directory.resolve()))
    if is_new:
        _start_repository(directory, list(files))
    _print_result(directory, list(files), output, is_committed=is_new)


def _start_repository(directory: Path, files: list[str]) -> None:
    """Commit the files to a new repository. Raises SourceError with the remaining steps as a hint; the files stay."""
    from controller.settings import drop_git_variables
    from controller.sources.git import start_repository

    drop_git_variables()
    try:
        start_repository(directory, files, message=_MESSAGE)
    except SourceError as error:
        git = f"git -C {shlex.quote(str(directory))}"
        raise SourceError(
            f"The files were written to {directory}, but could not be committed: {error.message}",
            hint=f"Fix the problem, then run: {git} init && {git} add . && {git} commit -m {shlex.quote(_MESSAGE)}",
        ) from error


def _print_result(directory: Path, files: list[str], output: str, *, is_committed: bool) -> None:
    if output == "json":
        print_json({"directory": str(directory), "files": files, "committed": is_committed})
        return
    for name in files:
        click.echo(f"wrote {directory / name}")
    if is_committed:
        click.echo(f"committed the files to a new git repository in {directory}")
    else:
        click.echo("commit the files to apply the deployment")
    repo = f"--repo {shlex.quote(str(directory))}"
    click.echo(f"\nNow:  controller run {repo}\nThen: controller trigger hello {repo} --wait")
