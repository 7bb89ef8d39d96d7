"""Writes signs of life and reports of controllers that share a state, outside of the transactions of the leader.

Each controller writes about its own host only, so it need not lead. These writes are not announced as commits.
"""

import json
import os
from typing import Any

import psycopg

from controller import __version__
from controller.model.hosts import AttemptReport
from controller.store.hosts import outcome_to_json

KEPT_DAYS = 1
"""How long a host that is not seen stays in the list. One with runs in progress stays longer."""
_RECORD = """
INSERT INTO hosts (project, place, pid, version, seen_at)
VALUES (%(project)s, %(place)s, %(pid)s, %(version)s, clock_timestamp())
ON CONFLICT (project, place) DO UPDATE
SET pid = excluded.pid, version = excluded.version, seen_at = excluded.seen_at
"""
_FORGET = "DELETE FROM hosts WHERE project = %s AND seen_at < clock_timestamp() - make_interval(days => %s)"
_REPORT = """
INSERT INTO attempt_reports (run_id, number, nonce, outcome, doubt, events)
VALUES (%s, %s, %s, %s::json, %s, %s) ON CONFLICT DO NOTHING
"""
Connection = psycopg.Connection[tuple[Any, ...]]


def record_place(connection: Connection, project: str, place: str) -> None:
    """Record that a controller with this place for the files of runs lives. Raises psycopg.Error."""
    values = {"project": project, "place": place, "pid": os.getpid(), "version": __version__}
    connection.execute(_RECORD, values)
    connection.execute(_FORGET, (project, KEPT_DAYS))


def report_attempt(connection: Connection, report: AttemptReport) -> None:
    """Report how an attempt on this host has ended. Raises psycopg.Error."""
    outcome = None if report.outcome is None else json.dumps(outcome_to_json(report.outcome))
    events = report.events.replace("\0", "\ufffd")
    values = (report.run_id, report.number, report.nonce, outcome, report.doubt, events)
    connection.execute(_REPORT, values)
