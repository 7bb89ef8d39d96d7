"""The details of a deployment: its notification rules and deadlines, and its values of a matrix."""

from rich.console import Console

from controller.cli.terminal.deployment_tables import deployment_detail
from controller.queries.deployment_details import RuleView, show_deployment
from controller.store import Store, inventory
from tests.conftest import NOW
from tests.unit.queries.test_deployment_cache import entry


def test_the_details_have_the_rules_the_deadlines_and_the_matrix(store: Store) -> None:
    rules = [{"to": "ops", "on": ["failed", "late"], "after": {"failures": 3}, "for": "10m"}, {"to": ["mail", "chat"]}]
    expect = {"start_within": "10m", "success_every": "26h"}
    with store.write() as tx:
        inventory.save(tx, [entry("load-1", notify=rules, expect=expect, matrix={"x": [1]})])
    with store.read() as tx:
        detail = show_deployment(tx, "load-1", NOW)
    first, second = detail.notify
    assert first == RuleView(to=("ops",), on=("failed", "late"), failures=3, for_seconds=600)  # type: ignore[arg-type]
    assert (second.to, second.failures, second.for_seconds) == (("mail", "chat"), 1, 0)
    assert (detail.expect, detail.matrix) == ({"start_within": 600, "success_every": 93_600}, {"x": 1})
    console = Console(width=120)
    with console.capture() as capture:
        console.print(deployment_detail(detail, NOW))
    text = capture.get()
    assert "ops: failed, late; after 3 failures in a row; if it lasts 10m" in text
    assert "start_within: 10m" in text
    assert "success_every: 1d2h" in text
    assert "x=1" in text
