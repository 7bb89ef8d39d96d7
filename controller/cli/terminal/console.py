"""The console for output: colours and the width of the terminal, or lines of any length if output is piped."""

import sys

from rich.console import Console, RenderableType

from controller.cli.terminal.tables import CompactTable


def console() -> Console:
    """Return a console on standard output. Rich itself disables colours for NO_COLOR and without a terminal."""
    is_terminal = sys.stdout.isatty()
    # A pipe is never treated as a terminal, not even for FORCE_COLOR, which many CI services set.
    return Console(
        force_terminal=None if is_terminal else False,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not is_terminal,
    )


def show(renderable: RenderableType) -> None:
    """Print a renderable to standard output. In a pipe, an empty table is its header, and the remark is not data."""
    if isinstance(renderable, CompactTable) and renderable.empty and not sys.stdout.isatty():
        sys.stderr.write(f"{renderable.empty}\n")
        sys.stdout.write(renderable.as_tsv())
    else:
        console().print(renderable, crop=False)  # tables fit, except those with `-o wide`
