"""The table of recent passes that found changes or failed, with the duration of each stage."""

from sqlalchemy import delete, func, insert, select

from controller.model.status import PassRecord
from controller.store.schema import passes
from controller.store.store import Transaction

MAX_RECORDS = 50


def append(tx: Transaction, record: PassRecord) -> None:
    """Record a pass, and delete all but the newest `MAX_RECORDS`."""
    result = tx.connection.execute(
        insert(passes).values(
            project=tx.project,
            started_at=record.started_at,
            revision=record.revision,
            reason=record.reason,
            message=record.message,
            counts=dict(record.counts),
            stages=dict(record.stages),
        )
    )
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
    return [
        PassRecord(
            started_at=row.started_at,
            revision=row.revision,
            reason=row.reason,
            message=row.message,
            counts=row.counts,
            stages=row.stages,
        )
        for row in rows
    ]
