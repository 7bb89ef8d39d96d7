"""The console for output: colours and the width of the terminal, or long plain lines if output is piped."""

import sys

from rich.console import Console, RenderableType

PIPED_WIDTH = 200


def console() -> Console:
    """Return a console on standard output. Rich itself disables colours for NO_COLOR and without a terminal."""
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=not is_terminal)


def show(renderable: RenderableType) -> None:
    """Print a renderable to standard output."""
    console().print(renderable)
