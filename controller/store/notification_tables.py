"""The tables of notifications. Only this package and its migrations access them."""

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from controller.model.names import MAX_NAME
from controller.store.schema import Id, Instant, metadata, only_where

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("trouble", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Index("ix_incidents_project_closed_at", "project", "closed_at"),
    Index("ix_incidents_project_key", "project", "key"),
)

incident_members = Table(
    "incident_members",
    metadata,
    Column("incident_id", Id, ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("subject", String(100), primary_key=True),
    Column("trouble", String(16), nullable=False),
    Column("since", Instant, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("run_id", String(36)),
    Column("reason", Text, nullable=False),
    Column("closed_at", Instant),
    Index("ix_incident_members_subject", "subject"),
)

announcements = Table(
    "announcements",
    metadata,
    Column("incident_id", Id, ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("channel", String(63), primary_key=True),
    Column("due_at", Instant),
    Column("announced_at", Instant),
    Column("updated_at", Instant),
    Column("subjects", JSON, nullable=False),
    Column("recovered_at", Instant),
    Column("openings", JSON, nullable=False),
    Column("flapping_since", Instant),
    Column("changed_at", Instant),
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project", String(63), nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("deployment", String(MAX_NAME)),
    Column("run_id", String(36)),
    Column("reason", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("incident_id", Id),
    Column("delivery", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("error", Text),
    Index("ix_messages_project_delivery_not_before", "project", "delivery", "not_before"),
    Index("ix_messages_project_deployment_id", "project", "deployment", "id"),
    Index("ix_messages_project_delivery_channel_id", "project", "delivery", "channel", "id"),
)

channels = Table(
    "channels",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("sent_at", Instant),
)

notifier = Table(
    "notifier",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("event_id", Id),
    Column("settings_problem", Text),
    Column("settings_hint", Text),
    Column("settings_problem_since", Instant),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("run_id", String(36), primary_key=True),
    Column("deployment", String(MAX_NAME), nullable=False),
    Column("state", String(16), nullable=False),
)

deadlines = Table(
    "deadlines",
    metadata,
    Column("project", String(63), primary_key=True),
    Column("deployment", String(MAX_NAME), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("length", Float, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Column("due_time", Instant),
    Column("deadline", Instant),
    Column("since", Instant),
    Column("count", Integer, nullable=False),
    Column("run_id", String(36)),
    Column("reason", Text, nullable=False),
    Index("ix_deadlines_project", "project", **only_where("since IS NOT NULL")),
)
