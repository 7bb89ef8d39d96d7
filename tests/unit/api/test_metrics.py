"""The metrics for Prometheus of a controller with some history, in both text formats."""

import gzip
import json
import re
from collections.abc import Iterator

import click
import pytest
import yaml
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as open_metrics_parser

from controller.api.metrics.leadership_families import leadership_families
from controller.cli.main import cli
from controller.queries.leadership import Role, Standing
from tests.conftest import new_repository, wait_until
from tests.docs.pages import DOCS, sections
from tests.promql import grouping_labels, series_used, template_labels
from tests.unit.api.conftest import DEPLOYMENTS, FLOWS, Served, serve

pytestmark = pytest.mark.integration

SCHEDULED = """
name: soon
command: [echo, soon]
schedules: [{interval: 1s}]
---
name: broken
command: ["false"]
---
name: off
command: [echo, off]
suspend: true
"""
OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture(scope="module")
def active(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A controller that has run some flows, and has applied a second revision."""
    top = tmp_path_factory.mktemp("metrics")
    repository = new_repository(top / "repo")
    repository.commit({"flows/all.py": FLOWS, "deployments/all.yaml": DEPLOYMENTS})
    served = serve(repository, top / "state")
    served.commit({"deployments/more.yaml": SCHEDULED})
    served.run("add")
    assert [served.run("broken")["state"] for _ in range(2)] == ["failed", "failed"]
    served.post("/api/v1/deployments/far/hold", {"reason": "maintenance"})
    wait_until(lambda: served.get("/api/v1/runs?deployment=soon&state=succeeded").json()["items"] != [])
    yield served
    served.controller.stop()


def samples(served: Served) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return all samples by name and values of labels, without buckets."""
    families = text_parser.text_string_to_metric_families(served.get("/metrics").text)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_passes_are_counted_by_result_and_duration(active: Served) -> None:
    values = samples(active)
    assert values["controller_reconcile_total", ("applied",)] >= 2
    assert (
        values["controller_reconcile_total", ("failed",)] == values["controller_reconcile_total", ("unavailable",)] == 0
    )
    passes = sum(value for (name, _), value in values.items() if name == "controller_reconcile_total")
    assert values["controller_reconcile_duration_seconds_count", ()] == passes
    assert values["controller_reconcile_duration_seconds_sum", ()] > 0
    assert values["controller_commit_to_active_seconds_count", ()] == 1
    assert 0 < values["controller_source_last_success_timestamp_seconds", ()] <= values["controller_time_seconds", ()]
    assert values["controller_git_request_total", ("success", "fetch")] == 0
    assert values["controller_drift_total", ()] == 0


def test_launches_starts_and_attempts_are_counted(active: Served) -> None:
    values = samples(active)
    launches = values["controller_launches_total", ("cold",)] + values["controller_launches_total", ("warm",)]
    assert launches >= 4
    assert values["controller_launch_failures_total", ()] == 0
    assert values["controller_queue_wait_seconds_count", ()] >= 4
    assert values["controller_fire_skew_seconds_count", ()] >= 1
    assert values["controller_run_attempts_total", ("failed",)] == 2
    assert values["controller_max_running", ()] > 0
    assert values["controller_queue_depth", ("default",)] >= 0


def test_the_store_and_its_disk_are_measured(active: Served) -> None:
    values = samples(active)
    assert values["controller_store_write_seconds_count", ()] > 10
    assert values["controller_store_bytes", ()] > 4096
    assert 0 < values["controller_state_disk_free_bytes", ()] < values["controller_state_disk_bytes", ()]
    assert values["process_cpu_seconds_total", ()] > 0


def test_each_deployment_has_its_last_success_state_next_due_time_failures_and_conditions(active: Served) -> None:
    values = samples(active)
    successes = {labels[0] for name, labels in values if name == "controller_deployment_last_success_timestamp_seconds"}
    assert successes >= {"add", "soon"}
    assert values["controller_deployment_last_run", ("broken", "failed")] == 1
    assert values["controller_deployment_last_run", ("add", "succeeded")] == 1
    assert values["controller_deployment_consecutive_failures", ("broken",)] == 2
    assert values["controller_deployment_consecutive_failures", ("wait",)] == 0
    due = {labels[0] for name, labels in values if name == "controller_deployment_next_due_timestamp_seconds"}
    assert due == {"soon"}
    conditions = {labels for name, labels in values if name == "controller_deployment_condition"}
    assert conditions == {("far", "held"), ("off", "suspended")}


def test_a_success_between_two_requests_is_visible_in_the_second(active: Served) -> None:
    key = "controller_deployment_last_success_timestamp_seconds", ("speak",)
    assert key not in samples(active)
    run = active.run("speak")
    first = samples(active)[key]
    assert first > 0
    assert run["state"] == "succeeded"
    active.run("speak")
    assert samples(active)[key] > first


def test_openmetrics_is_returned_to_a_client_that_prefers_it(active: Served) -> None:
    answer = active.get("/metrics", Accept=OPEN_METRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = list(open_metrics_parser.text_string_to_metric_families(answer.text))  # type: ignore[no-untyped-call]
    found = {sample.name for family in families for sample in family.samples}
    assert {"controller_reconcile_total", "controller_deployment_last_run", "process_cpu_seconds_total"} <= found


def test_the_metrics_are_compressed_for_a_client_that_accepts_it(active: Served) -> None:
    answer = active.get("/metrics", Accept_Encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert b"controller_runs" in gzip.decompress(answer.body)


def test_every_metric_is_described_once(active: Served) -> None:
    lines = active.get("/metrics").text.splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    assert len(described) == len(set(described))
    assert all(name.startswith(("controller_", "process_")) for name in described)


RULES = yaml.safe_load((DOCS / "operations" / "alerts.yaml").read_text())["groups"][0]["rules"]
PANELS = [
    panel for panel in json.loads((DOCS / "operations" / "grafana.json").read_text())["panels"] if panel.get("targets")
]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]
OF_PROMETHEUS = {"job", "instance"}
"""The labels that Prometheus adds to every series."""


def values_of_labels(served: Served) -> dict[str, dict[str, set[str]]]:
    """Return the values of each label of each series, and the words of its description, which lists further values."""
    labels: dict[str, dict[str, set[str]]] = {"up": {}}
    for family in text_parser.text_string_to_metric_families(served.get("/metrics").text):
        for sample in family.samples:
            values = labels.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                values.setdefault(label, set(re.findall(r"\w+", family.documentation))).add(value)
    return labels


def test_the_series_and_labels_of_all_alerts_and_panels_exist(active: Served) -> None:
    existing = values_of_labels(active)
    uses = [use for expression in EXPRESSIONS for use in series_used(expression)]
    assert len({use.series for use in uses}) > 30
    assert {use.series for use in uses} - existing.keys() == set()
    for use in uses:
        for matcher in use.matchers:
            if matcher.label not in OF_PROMETHEUS:
                assert set(matcher.value.split("|")) <= existing[use.series].get(matcher.label, set()), use


def test_the_labels_that_expressions_group_by_exist(active: Served) -> None:
    existing = values_of_labels(active)
    for expression in EXPRESSIONS:
        labels = {label for use in series_used(expression) for label in existing[use.series]}
        assert grouping_labels(expression) <= labels | OF_PROMETHEUS, expression


def test_every_alert_says_what_happened_and_what_to_do_with_labels_that_it_has(active: Served) -> None:
    existing = values_of_labels(active)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description", "action"}
        labels = {label for use in series_used(rule["expr"]) for label in existing[use.series]}
        labels = grouping_labels(rule["expr"]) if " by " in rule["expr"] else labels | OF_PROMETHEUS
        assert template_labels(" ".join(rule["annotations"].values())) <= labels, rule["alert"]


def test_the_commands_that_alerts_and_the_page_name_exist() -> None:
    texts = [rule["annotations"]["action"] for rule in RULES] + [(DOCS / "operations.md").read_text()]
    commands = {command for text in texts for command in re.findall(r"`controller ([a-z][^`]*)`", text)}
    assert len(commands) > 5
    for line in commands:
        command: click.Command = cli
        context = click.Context(cli)
        words = line.split()
        while isinstance(command, click.Group):
            found = command.get_command(context, words.pop(0))
            assert found is not None, line
            command = found
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_every_legend_has_a_label_of_its_expression() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            assert template_labels(target["legendFormat"]) <= grouping_labels(target["expr"]), panel["title"]


def test_the_page_of_operations_lists_every_alert_with_its_severity() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]


def test_the_page_of_the_api_lists_every_metric_with_its_labels(active: Served) -> None:
    # No queue has a limit here, and no executor is on a cluster.
    described = {"controller_queue_limit": {"queue"}, "controller_executor_ready": {"executor"}}
    for family in text_parser.text_string_to_metric_families(active.get("/metrics").text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        described[name] = described.get(name, set()) | labels
    of_standby = Standing(role=Role.STANDBY, lag_seconds=0.5, forwarded_requests=1)
    for shared in leadership_families(of_standby):  # a state in a file has no standbys
        described[f"{shared.name}_total" if shared.type == "counter" else shared.name] = set()
    page = next(section.text for section in sections(DOCS / "api.md", 2) if section.title == "Metrics")
    cells = re.findall(r"`((?:controller|process)_\w+)(?:\{([\w, ]+)\})?`", page)
    assert {name: {label.strip() for label in labels.split(",") if label} for name, labels in cells} == described
