"""The tables of webhooks: which active deployments declare which webhook, and the deliveries of the last days."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import Select, delete, insert, select

from controller.model.runs import RunId
from controller.store.store import Transaction
from controller.store.trigger_tables import webhook_deliveries, webhooks

_BATCH = 500


def remove_declared(tx: Transaction, deployments: Iterable[str]) -> None:
    """Delete all webhooks of these deployments."""
    names = sorted(deployments)
    for start in range(0, len(names), _BATCH):
        is_named = webhooks.c.deployment.in_(names[start : start + _BATCH])
        tx.connection.execute(delete(webhooks).where(webhooks.c.project == tx.project, is_named))


def insert_declared(tx: Transaction, names: Mapping[str, Iterable[str]]) -> None:
    """Insert the names of the webhooks of each of these deployments, which have none."""
    rows = [
        {"project": tx.project, "webhook": webhook, "deployment": deployment}
        for deployment, some in names.items()
        for webhook in dict.fromkeys(some)
    ]
    if rows:
        tx.connection.execute(insert(webhooks), rows)


def deployments_with(tx: Transaction, webhook: str) -> list[str]:
    """Return the deployments that declare this webhook, sorted. More than one only if versions of two commits do."""
    query = select(webhooks.c.deployment).where(webhooks.c.project == tx.project, webhooks.c.webhook == webhook)
    return list(tx.connection.execute(query.order_by(webhooks.c.deployment)).scalars())


def find_delivery(tx: Transaction, webhook: str, delivery: str, since: datetime) -> RunId | None:
    """Return the run that this delivery has started, if it was received after `since`."""
    query = select(webhook_deliveries.c.run_id).where(
        webhook_deliveries.c.project == tx.project,
        webhook_deliveries.c.webhook == webhook,
        webhook_deliveries.c.delivery == delivery,
        webhook_deliveries.c.received_at > since,
    )
    run_id = tx.connection.execute(query).scalar()
    return None if run_id is None else RunId(run_id)


def save_delivery(tx: Transaction, webhook: str, delivery: str, run_id: RunId, now: datetime) -> None:
    """Record that this delivery has started this run; it replaces an older one with the same id."""
    key = {"project": tx.project, "webhook": webhook, "delivery": delivery}
    is_same = (webhook_deliveries.c[name] == value for name, value in key.items())
    tx.connection.execute(delete(webhook_deliveries).where(*is_same))
    tx.connection.execute(insert(webhook_deliveries).values(**key, received_at=now, run_id=run_id))


def delete_deliveries(tx: Transaction, before: datetime, limit: int) -> None:
    """Delete up to `limit` deliveries that were received before this time."""
    table = webhook_deliveries
    old = _old_deliveries(tx, before).order_by(table.c.received_at).limit(limit)
    for row in tx.connection.execute(old).all():
        is_same = (table.c.project == tx.project, table.c.webhook == row.webhook, table.c.delivery == row.delivery)
        tx.connection.execute(delete(table).where(*is_same))


def has_old_deliveries(tx: Transaction, before: datetime) -> bool:
    """Return whether `delete_deliveries` deletes something."""
    return tx.connection.execute(_old_deliveries(tx, before).limit(1)).first() is not None


def _old_deliveries(tx: Transaction, before: datetime) -> Select[tuple[str, str]]:
    table = webhook_deliveries
    return select(table.c.webhook, table.c.delivery).where(table.c.project == tx.project, table.c.received_at < before)
