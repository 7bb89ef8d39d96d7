"""The numbers of the changes of the inventory, with which readers find what changed since they last read it.

Each transaction that changes the inventory uses the next number. Used by `inventory`, and by the readers.
"""

from typing import NamedTuple

from sqlalchemy import Integer, bindparam, delete, func, insert, literal_column, select, union_all

from controller.store.prepared import Prepared
from controller.store.schema import inventory, renames
from controller.store.store import Transaction

OLD_NAMES = 1000
"""How many old names stay recorded: those of the last changes. A reader that missed as many reads everything."""
_FIND_CHANGED = Prepared(
    union_all(
        *(
            select(
                name.label("name"), change.label("change"), literal_column(is_old, Integer).label("is_old_name")
            ).where(project == bindparam("of_project"), change > bindparam("since"))
            for project, name, change, is_old in (
                (inventory.c.project, inventory.c.name, inventory.c.change, "0"),
                (renames.c.project, renames.c.old_name, renames.c.change, "1"),
            )
        )
    )
)


class Changes(NamedTuple):
    """The changes after a number.

    - `names`: of the deployments changed, removed or renamed.
    - `number`: of the last change.
    - `is_complete`: if False, old names may be missing that are not recorded any more, and `names` has all others.
    """

    names: set[str]
    number: int
    is_complete: bool


def last_change(tx: Transaction) -> int:
    """Return the number of the last change of the inventory; 0 without one."""
    last = [
        select(func.max(table.c.change)).where(table.c.project == tx.project).scalar_subquery()
        for table in (inventory, renames)
    ]
    return max(number or 0 for number in tx.connection.execute(select(*last)).one())


def find_changed(tx: Transaction, since: int | None) -> Changes:
    """Return what changed after the change `since`; for None, all deployments. A new cursor is not a change."""
    rows = _FIND_CHANGED.fetch(tx, of_project=tx.project, since=-1 if since is None else since)
    number = max((row.change for row in rows), default=since or 0)
    # With fewer old names, at least one of those that stay is not newer than `since`, or none was ever deleted.
    is_complete = since is None or sum(row.is_old_name for row in rows) < OLD_NAMES
    if not is_complete:
        rows = _FIND_CHANGED.fetch(tx, of_project=tx.project, since=-1)
    return Changes({row.name for row in rows}, number, is_complete)


def record_old_name(tx: Transaction, name: str, change: int) -> None:
    """Record the last change of a name that has no row any more."""
    tx.connection.execute(delete(renames).where(renames.c.project == tx.project, renames.c.old_name == name))
    tx.connection.execute(insert(renames).values(project=tx.project, old_name=name, change=change))


def delete_old_names(tx: Transaction) -> None:
    """Delete the old names that are not among the last `OLD_NAMES`, nor of the same change as one of these."""
    of_project = renames.c.project == tx.project
    newest_first = select(renames.c.change).where(of_project).order_by(renames.c.change.desc())
    first_kept = newest_first.limit(1).offset(OLD_NAMES - 1).scalar_subquery()
    tx.connection.execute(delete(renames).where(of_project, renames.c.change < first_kept))
