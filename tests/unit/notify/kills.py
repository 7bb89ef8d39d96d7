"""Ends an action between two statements, at each place in turn. For tests of what a crash leaves behind."""

from collections.abc import Callable

from sqlalchemy import event

from controller.store import Store


class Killed(Exception):
    """The process ends between two statements."""


def kill_between_statements(store: Store, action: Callable[[], object], check: Callable[[], None]) -> int:
    """Repeat an action until it completes, and return how often it was killed.

    It is killed before its first statement, then before its second one, and so on. `check` runs after each kill.
    """
    executed = kills = 0

    def count(*_: object) -> None:
        nonlocal executed
        executed += 1
        if executed > kills:
            raise Killed

    event.listen(store._writer, "before_cursor_execute", count)
    try:
        while True:
            executed = 0
            try:
                action()
            except Killed:
                check()
                kills += 1
                continue
            return kills
    finally:
        event.remove(store._writer, "before_cursor_execute", count)
