"""The pages of deployments, runs and events. Each function runs its queries and renders a template."""

import re
from collections.abc import Collection, Iterable
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from controller.api.dashboard.templating import render
from controller.api.http.responses import ID, dependencies_of
from controller.api.http.routers import page_router
from controller.model.names import fold_name, name_order
from controller.model.status import EventSeverity
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.events import list_events
from controller.store import Transaction, backfills
from controller.store.events import EventFilter

router = page_router()

ROWS = 50
SEVERITIES = [severity.value for severity in EventSeverity]
_SUGGESTIONS = 20
Cursor = Annotated[str | None, Query(pattern="^([0-9a-f-]{36})?$")]


class Filters:
    """The filters of one request; `problems` has a sentence for each filter that was ignored.

    An unknown or invalid filter, for example in an old bookmark, is not an error: the page is shown without it.
    """

    def __init__(self, request: Request, names: Collection[str]) -> None:
        self.problems = [
            f"Unknown filter {name!r}." for name in dict.fromkeys(request.query_params) if name not in names
        ]

    def one_of(self, name: str, choices: Iterable[str], value: str) -> str:
        """Return the value if it is one of the choices, else an empty string."""
        allowed = list(choices)
        if value and value not in allowed:
            self.problems.append(f"Unknown {name} {value!r}; use one of {', '.join(allowed)}.")
            return ""
        return value

    def backfill(self, tx: Transaction, text: str) -> str:
        """Return the id of the backfill whose id begins or ends with this text, else an empty string."""
        matches = backfills.find_by_prefix(tx, text) if text else []
        if text and len(matches) != 1:
            self.problems.append(f"Unknown backfill {text!r}.")
        return matches[0].id if len(matches) == 1 else ""

    def run(self, text: str) -> str:
        """Return the id of a run if this is a complete one, else an empty string."""
        if text and not re.fullmatch(ID, text):
            self.problems.append(f"Unknown run {text!r}.")
            return ""
        return text

    def page(self, number: int, pages: int) -> int:
        """Return the page number, or that of the last page if there are fewer pages."""
        if number > pages:
            self.problems.append(f"Page {number} does not exist; this is the last page.")
        return min(number, pages)


def similar_names(request: Request, text: str) -> list[str]:
    """Return the names of the first 20 deployments that contain this text, for a field's suggestions."""
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    part = fold_name(text)
    names = (view.name for view in deployment_cache.deployments() if part in fold_name(view.name))
    return sorted(names, key=name_order)[:_SUGGESTIONS]


@router.get("/events")
def events(
    request: Request,
    about: Annotated[str, Query(max_length=100)] = "",
    severity: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[int | None, Query(ge=0, le=1 << 62)] = None,
) -> Response:
    """Events, newest first."""
    filters = Filters(request, ("about", "severity", "before"))
    severity = filters.one_of("severity", SEVERITIES, severity)
    query = EventFilter(
        limit=ROWS + 1,
        before=before,
        about=about or None,
        severity=EventSeverity(severity) if severity else None,
    )
    with dependencies_of(request).store.read() as tx:
        rows = list_events(tx, query)
    return render(
        request,
        "events.html",
        tab="Events",
        events=rows[:ROWS],
        older=rows[ROWS - 1].id if len(rows) > ROWS else None,
        before=before,
        filters={"about": about, "severity": severity},
        severities=SEVERITIES,
        names=similar_names(request, about),
        filter_problems=filters.problems,
    )
