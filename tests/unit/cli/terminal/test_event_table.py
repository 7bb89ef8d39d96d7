"""Events are aligned, also those that are printed later, and a terminal shows whole messages."""

from dataclasses import replace
from datetime import UTC

from rich.console import Console

from controller.cli.terminal.event_table import event_table
from controller.model.status import EventSeverity, NumberedEvent
from tests.conftest import NOW

MESSAGE = "The last valid version stays active:\n" + "word " * 12 + "end"
EVENT = NumberedEvent(id=1, time=NOW, severity=EventSeverity.INFO, reason="Created", message=MESSAGE, about="sums")


def lines(width: int) -> list[str]:
    """Return what a terminal of this width shows of two tables, of which the second continues the first."""
    console = Console(width=width, record=True, color_system=None, force_terminal=True)
    later = replace(EVENT, severity=EventSeverity.WARNING, reason="RunFailed", message="exit code 1")
    console.print(event_table([EVENT], UTC), crop=False)
    console.print(event_table([later], UTC, has_titles=False), crop=False)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_tables_of_events_are_aligned_and_messages_are_wrapped() -> None:
    header, first, *more, last = lines(120)
    assert header.split() == ["TIME", "SEVERITY", "ABOUT", "REASON", "MESSAGE"]
    place = header.index("MESSAGE")
    assert first.startswith("2026-06-01 12:00:00 UTC")
    assert more
    assert " ".join(line[place:] for line in (first, *more)) == MESSAGE.replace("\n", r"\n")
    assert last[place:] == "exit code 1"


def test_on_a_narrow_terminal_a_message_has_lines_of_its_own() -> None:
    header, title, first, *message, last, text = lines(80)
    assert (header.split(), title) == (["TIME", "SEVERITY", "ABOUT", "REASON"], "  MESSAGE")
    assert first.split() == ["2026-06-01", "12:00:00", "UTC", "info", "sums", "Created"]
    assert " ".join(line[2:] for line in message) == MESSAGE.replace("\n", r"\n")
    assert last.endswith("RunFailed")
    assert text == "  exit code 1"


def test_a_long_name_is_shortened_on_a_narrow_terminal() -> None:
    console = Console(width=80, record=True, color_system=None, force_terminal=True)
    console.print(event_table([replace(EVENT, about="n" * 100, message="created")], UTC), crop=False)
    row = console.export_text().splitlines()[2]
    assert len(row.rstrip()) <= 80
    assert "nnn…  Created" in row
