"""The overview page: the health of the deployments, what needs attention, what is in progress, and what is next."""

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

from controller.api.dashboard.charts import Segment, stacked_bar, strip_chart
from controller.api.dashboard.template_filters import tone
from controller.api.dashboard.templating import render
from controller.api.dashboard.timeline_chart import success_spark, timeline
from controller.api.http.responses import dependencies_of
from controller.api.http.routers import page_router
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.deployments import DeploymentState
from controller.queries.overview import MOST_IN_GROUP, overview
from controller.store import runs

router = page_router()


@router.get("/")
def home(request: Request) -> Response:
    """The overview."""
    dependencies = dependencies_of(request)
    now = dependencies.clock.now()
    deployment_cache: DeploymentCache = request.app.state.deployment_cache
    summary, upcoming = deployment_cache.summary(), deployment_cache.upcoming()
    with dependencies.store.read() as tx:
        view = overview(tx, summary, now, upcoming, dependencies.state.runs)
        counts = {state.value: count for state, count in runs.counts(tx).items()}
    running = counts.get("running", 0)
    return render(
        request,
        "overview.html",
        tab="Overview",
        view=view,
        health=_health(view.states),
        bars={name: strip_chart(bars) for name, bars in view.bars.items()},
        most_in_group=MOST_IN_GROUP,
        chart=timeline(view.slots, now),
        spark=success_spark(view.slots, now),
        running=running,
        waiting=sum(counts.values()) - running,
    )


def _health(states: Mapping[DeploymentState, int]) -> tuple[Segment, ...]:
    """Lay out the health bar: deployments without a problem first, then the others, the worst first."""
    in_order = (DeploymentState.OK, *(state for state in DeploymentState if state is not DeploymentState.OK))
    return stacked_bar((state.value, states[state], tone(state)) for state in in_order)
