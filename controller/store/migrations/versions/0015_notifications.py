"""Notifications: incidents, what was announced, messages and channels; and columns for what an event is about."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("events", recreate="never") as batch_op:
        batch_op.add_column(sa.Column("deployment", sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column("run_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("environment", sa.Text(), nullable=True))
    op.create_index("ix_events_run_id", "events", ["run_id"])
    op.execute("UPDATE events SET deployment = about WHERE about NOT IN ('source', 'controller')")
    _create_incidents()
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("incident_id", _ID, nullable=True),
        sa.Column("delivery", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_messages_project_delivery_not_before", "messages", ["project", "delivery", "not_before"])
    op.create_index("ix_messages_project_deployment_id", "messages", ["project", "deployment", "id"])
    op.create_index("ix_messages_project_delivery_channel_id", "messages", ["project", "delivery", "channel", "id"])
    op.create_table(
        "channels",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("project", "name"),
    )
    op.create_table(
        "notifier",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("event_id", _ID, nullable=True),
        sa.Column("settings_problem", sa.Text(), nullable=True),
        sa.Column("settings_hint", sa.Text(), nullable=True),
        sa.Column("settings_problem_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("project"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("project", "run_id"),
    )
    _create_deadlines()


def _create_deadlines() -> None:
    op.create_table(
        "deadlines",
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("deployment", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("length", sa.Float(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "deployment", "kind"),
    )
    is_missed = sa.text("since IS NOT NULL")
    op.create_index("ix_deadlines_project", "deadlines", ["project"], sqlite_where=is_missed)
    has_succeeded = sa.text("state = 'succeeded'")
    op.create_index("ix_runs_success", "runs", ["project", "deployment", "finished_at"], sqlite_where=has_succeeded)


_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _ID, nullable=False, autoincrement=True),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("trouble", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_incidents_project_closed_at", "incidents", ["project", "closed_at"])
    op.create_index("ix_incidents_project_key", "incidents", ["project", "key"])
    op.create_table(
        "incident_members",
        sa.Column("incident_id", _ID, nullable=False),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("trouble", sa.String(length=16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("incident_id", "subject"),
    )
    op.create_index("ix_incident_members_subject", "incident_members", ["subject"])
    op.create_table(
        "announcements",
        sa.Column("incident_id", _ID, nullable=False),
        sa.Column("channel", sa.String(length=63), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("subjects", sa.JSON(), nullable=False),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("openings", sa.JSON(), nullable=False),
        sa.Column("flapping_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("incident_id", "channel"),
    )
