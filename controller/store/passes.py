"""The table of recent passes that found changes or failed, with the duration of each stage."""

from sqlalchemy import delete, func, insert, select

from controller.model.status import PassRecord
from controller.store.rows import from_row, to_row
from controller.store.schema import passes
from controller.store.store import Transaction

MAX_RECORDS = 50


def append(tx: Transaction, record: PassRecord) -> None:
    """Record a pass, and delete all but the newest `MAX_RECORDS`."""
    row = to_row(tx, passes, record, counts=dict(record.counts), stages=dict(record.stages))
    result = tx.connection.execute(insert(passes).values(row))
    newest = select(passes.c.id).where(passes.c.project == tx.project).order_by(passes.c.id.desc()).limit(MAX_RECORDS)
    oldest = select(func.min(newest.subquery().c.id)).scalar_subquery()
    if result.inserted_primary_key is not None:
        tx.connection.execute(delete(passes).where(passes.c.project == tx.project, passes.c.id < oldest))


def last_number(tx: Transaction) -> int | None:
    """Return the number of the newest pass, which increases with every pass; None if there is none."""
    return tx.connection.execute(select(func.max(passes.c.id)).where(passes.c.project == tx.project)).scalar()


def latest(tx: Transaction, limit: int = MAX_RECORDS) -> list[PassRecord]:
    """Return the newest passes, newest first."""
    rows = tx.connection.execute(
        select(passes).where(passes.c.project == tx.project).order_by(passes.c.id.desc()).limit(limit)
    )
    return [from_row(PassRecord, row) for row in rows]
