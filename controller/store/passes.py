"""The history of passes that found something new or failed: the newest few, with how long each stage took."""

from sqlalchemy import delete, func, insert, select

from controller.model.status import PassRecord
from controller.store.schema import passes
from controller.store.store import Transaction

KEPT = 50


def append(tx: Transaction, record: PassRecord) -> None:
    """Record this pass, and forget the oldest beyond KEPT."""
    done = tx.connection.execute(
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
    mine = select(passes.c.id).where(passes.c.project == tx.project).order_by(passes.c.id.desc()).limit(KEPT)
    oldest = select(func.min(mine.subquery().c.id)).scalar_subquery()
    if done.inserted_primary_key is not None:
        tx.connection.execute(delete(passes).where(passes.c.project == tx.project, passes.c.id < oldest))


def last_number(tx: Transaction) -> int | None:
    """The number of the newest pass; a later one has a higher number."""
    return tx.connection.execute(select(func.max(passes.c.id)).where(passes.c.project == tx.project)).scalar()


def latest(tx: Transaction, limit: int = KEPT) -> list[PassRecord]:
    """The newest passes, newest first."""
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
