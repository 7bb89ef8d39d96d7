"""The projects whose states are in one database on a server. Each has its tables in a schema of its own."""

from controller.errors import StateError
from controller.model.projects import ProjectSummary
from controller.model.runs import RunState
from controller.state_url import StateUrl, project_of_schema
from controller.store import inventory, runs, source_status
from controller.store.databases.postgresql import connect
from controller.store.databases.postgresql_errors import translate_driver_errors
from controller.store.leaders import find_leader
from controller.store.store import Store

_SCHEMAS = """
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'leadership' AND c.relkind = 'r'
AND (n.nspname = current_schema() OR n.nspname LIKE 'controller\\_%') ORDER BY 1
"""


def find_projects(url: StateUrl) -> list[ProjectSummary]:
    """Return the projects in this database, by name. Raises StateError."""
    with translate_driver_errors(), connect(url.of_project(None)) as connection:
        schemas = [name for (name,) in connection.execute(_SCHEMAS.encode()).fetchall()]
    return [_summarize(url.of_project(name)) for name in sorted(set(map(project_of_schema, schemas)))]


def _summarize(url: StateUrl) -> ProjectSummary:
    try:
        store = Store.open_read_only(url)
    except StateError as error:
        return ProjectSummary(name=url.project, problem=error.message)
    try:
        with store.read() as tx:
            leader, source = find_leader(tx), source_status.find(tx)
            return ProjectSummary(
                name=url.project,
                repo=None if source is None else source.repo,
                leader=leader.host if leader is not None and leader.leads else None,
                version=None if leader is None else leader.version,
                deployments=len(inventory.cursors(tx)),
                running=runs.counts(tx).get(RunState.RUNNING, 0),
            )
    finally:
        store.close()
