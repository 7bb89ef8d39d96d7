"""Notification rules, deadlines and heartbeats: what they mean, and the hints for values that are wrong."""

from datetime import timedelta

import pytest

from controller.manifests.reader import ManifestReader
from controller.model.findings import Severity
from controller.model.notifications import DEFAULT_ON, Expectation, NotifyRule, Trouble
from controller.model.policies import EnvSecret
from tests.unit.manifests.conftest import NOW, Read, manifest

CAT = "name: a\ncommand: [cat]\n"
WEEKDAYS = 'schedule: {cron: "0 9 * * mon-fri", timezone: UTC}\n'
HOURLY = "schedule: {interval: 1h}\n"


def test_rules_deadlines_and_heartbeat_are_read(read: Read) -> None:
    state = read(
        CAT
        + HOURLY
        + "notify: [{to: ops}, {to: [mail, ops, mail], on: [late], after: {failures: 3}, for: 10m}]\n"
        + "expect: {start_within: 10m, finish_within: PT2H, success_every: 7200}\n"
        + "heartbeat: {env: PING}\n"
    )
    assert state.findings == ()
    deployment = state.deployments["a"]
    assert deployment.notify == (
        NotifyRule(to=("ops",), on=DEFAULT_ON),
        NotifyRule(to=("mail", "ops"), on=(Trouble.LATE,), failures=3, wait=timedelta(minutes=10)),
    )
    hours = timedelta(hours=2)
    expected = Expectation(start_within=timedelta(minutes=10), finish_within=hours, success_every=hours)
    assert deployment.expect == expected
    assert deployment.heartbeat == EnvSecret(env="PING")


def test_one_rule_needs_no_list(read: Read) -> None:
    [rule] = read(CAT + "notify: {to: ops}\n").deployments["a"].notify
    assert rule == NotifyRule(to=("ops",))


def test_defaults_and_overlays_are_merged() -> None:
    project = manifest(
        "controller.yaml",
        "defaults: {notify: {to: ops}, expect: {start_within: 10m, finish_within: 1h}}\n"
        "environments: {prod: {defaults: {notify: [{to: oncall}]}}}\n",
    )
    text = CAT + HOURLY + "expect: {finish_within: 2h}\nenvironments: {prod: {expect: {start_within: 5m}}}\n"
    for environment, channel, minutes in ((None, "ops", 10), ("prod", "oncall", 5)):
        state = ManifestReader(environment=environment).read([manifest("deployments/a.yaml", text)], NOW, project)
        assert state.findings == ()
        deployment = state.deployments["a"]
        assert [rule.to for rule in deployment.notify] == [(channel,)]
        assert deployment.expect.start_within == timedelta(minutes=minutes)
        assert deployment.expect.finish_within == timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("notify: ops", "write notify: {to: ops}"),
        ("notify: [ops]", "write {to: ops}"),
        ("notify: {to: Ops}", "write the name of a channel of the operator: lower-case letters, digits and hyphens"),
        ("notify: {to: ops, on: [fail]}", "did you mean failed?"),
        ("notify: {to: ops, on: [timeout]}", "did you mean timed_out?"),
        ("notify: {to: ops, on: failed}", "write it as a list: [failed]"),
        ("notify: {to: ops, after: 3}", "write after: {failures: 3}"),
        ("notify: [{to: ops, events: failed}]", "write on: [failed]"),
        ("expect: 2h", "write expect: {finish_within: 2h}"),
        ("expect: {start: 10m}", "write start_within: 10m"),
        ("sla: 2h", "write expect: {finish_within: 2h}"),
        ("slo: 99%", "write expect: {finish_within: 2h}, or start_within or success_every"),
        ("healthcheck: https://hc.example/1", "write heartbeat: https://hc.example/1"),
        ("heartbeat: {ENV: PING}", "did you mean env?"),
        *(
            (
                f"{key}: {{x: 1}}",
                "write notify: {to: ops}, with the name of a channel that the operator declares in notify.yaml",
            )
            for key in ("on_failure", "alerts", "email", "notifications", "automations")
        ),
    ],
)
def test_a_wrong_value_has_a_hint(read: Read, text: str, hint: str) -> None:
    [finding] = read(f"{CAT}{text}\n").findings
    assert (finding.severity, finding.hint) == (Severity.ERROR, hint)


@pytest.mark.parametrize("text", ["heartbeat: hc.example/SECRET", "heartbeat: [https://hc.example/SECRET]"])
def test_a_finding_does_not_repeat_the_url_of_a_heartbeat(read: Read, text: str) -> None:
    [finding] = read(f"{CAT}{text}\n").findings
    assert finding.severity is Severity.ERROR
    assert "SECRET" not in f"{finding.message} {finding.hint}"


@pytest.mark.parametrize(
    ("text", "code", "path", "hint"),
    [
        (
            "expect: {start_within: 10m}",
            "UnusedDeadline",
            "start_within",
            "add a schedule, or remove start_within; finish_within also applies to runs that are triggered",
        ),
        (
            HOURLY + "expect: {start_within: 2h, finish_within: 1h}",
            "ConflictingDeadlines",
            "finish_within",
            "write finish_within: 2h or longer",
        ),
        (
            "schedule: {interval: 1h, jitter: 20m}\nexpect: {start_within: 10m}",
            "ConflictingDeadlines",
            "start_within",
            "write start_within: 30m, or a shorter jitter",
        ),
        (
            WEEKDAYS + "expect: {success_every: 26h}",
            "DeadlineBelowGap",
            "success_every",
            "write success_every: 73h or longer, to allow for the run itself",
        ),
    ],
)
def test_a_deadline_that_cannot_work_is_a_warning(read: Read, text: str, code: str, path: str, hint: str) -> None:
    state = read(f"{CAT}{text}\n")
    [finding] = state.findings
    assert (finding.severity, finding.code, finding.path) == (Severity.WARNING, code, f"$.expect.{path}")
    assert finding.hint == hint
    assert "a" in state.deployments


@pytest.mark.parametrize(
    "text",
    [
        WEEKDAYS + "expect: {success_every: 73h}",
        "schedule: {interval: 10m}\nexpect: {success_every: 15m}",
        "schedules: [{cron: '0 9 * * mon-fri'}, {cron: '0 9 * * sat,sun'}]\nexpect: {success_every: 26h}",
        "expect: {finish_within: 1h, success_every: 1d}",
    ],
)
def test_deadlines_that_can_work_give_no_warning(read: Read, text: str) -> None:
    assert read(f"{CAT}{text}\n").findings == ()


def test_a_default_deadline_is_no_mistake_of_a_deployment_without_schedule() -> None:
    project = manifest("controller.yaml", "defaults: {expect: {start_within: 10m}}\n")
    state = ManifestReader().read([manifest("deployments/a.yaml", CAT)], NOW, project)
    assert state.findings == ()
