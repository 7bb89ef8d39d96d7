"""Where and how things are printed: colours and width of the terminal, or plain lines as wide as they need to be."""

import sys

from rich.console import Console, RenderableType

PIPED_WIDTH = 200


def console() -> Console:
    """Standard output. Rich itself honours NO_COLOR and the absence of a terminal."""
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else PIPED_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=not is_terminal)


def show(what: RenderableType) -> None:
    """Print it."""
    console().print(what)
