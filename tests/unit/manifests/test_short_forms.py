"""Short forms mean the same as long ones, merge like them, and keep the position at which they were written."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.schedules import Cron, Interval
from tests.unit.manifests.conftest import NOW, manifest

BASE = "name: a\nflow: f.py:m\n"


def read(text: str, *, project: str = "{}", environment: str | None = None) -> DesiredState:
    reader = ManifestReader(environment)
    return reader.read([manifest("deployments/a.yaml", text)], NOW, manifest("controller.yaml", project))


def one(text: str, **options: Any) -> Deployment:
    state = read(BASE + text, **options)
    assert state.findings == ()
    return state.deployments["a"]


def findings(text: str, **options: Any) -> list[tuple[str, int, int, str]]:
    found = read(BASE + text, **options).findings
    return [(finding.code, finding.line, finding.column, finding.path) for finding in found]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ('schedule: "0 2 * * *"', 'schedule: {cron: "0 2 * * *"}'),
        ('schedule: "@daily"', 'schedule: {cron: "@daily"}'),
        ("schedule: 15m", "schedule: {interval: 15m}"),
        ("schedule: PT15M", "schedule: {interval: PT15M}"),
        ('schedules: ["0 2 * * *", 1h30m]', 'schedules: [{cron: "0 2 * * *"}, {interval: 1h30m}]'),
        ("retries: 3", "retries: {limit: 3}"),
        ("retries: 0", "retries: {limit: 0}"),
        ("overlap: queue", "overlap: {policy: queue}"),
        ("x-owner: sales\nretries: 3", "retries: {limit: 3}"),
    ],
)
def test_a_short_form_has_the_meaning_and_the_digest_of_the_long_form(short: str, long: str) -> None:
    assert one(short) == one(long)


def test_a_schedule_in_short_form_is_a_cron_expression_or_an_interval() -> None:
    assert one('schedule: "0 2 * * *"').schedules[0].rule == Cron(expression="0 2 * * *")
    assert one("schedule: 15m").schedules[0].rule == Interval(every=timedelta(minutes=15))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ('"02:00"', 'write schedule: {cron: "0 2 * * *"}'),
        ('"01:30:00"', "write schedule: {interval: 01:30:00}"),
        ('"900"', 'write schedule: {interval: "900"}'),
        ("900", "write schedule: {interval: 900}"),
        ("every 5 minutes", 'write schedule: {cron: "*/5 * * * *"}'),
        ("FREQ=DAILY", "write schedule: {rrule: FREQ=DAILY}"),
        ('"0 0 2 * * ?"', 'write schedule: {cron: "0 2 * * *"}'),
    ],
)
def test_an_ambiguous_or_foreign_schedule_gets_a_hint_that_is_valid(value: str, hint: str) -> None:
    [finding] = read(f"{BASE}schedule: {value}\n").findings
    assert (finding.line, finding.column, finding.path, finding.hint) == (3, 11, "$.schedule", hint)
    assert one(hint.removeprefix("write ")).schedules


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('schedule: "61 2 * * *"', ("InvalidSchedule", 3, 11, "$.schedule")),
        ('schedule: "0 0 30 2 *"', ("InvalidSchedule", 3, 11, "$.schedule")),
        ("schedules: [1h, soon]", ("InvalidSchedule", 3, 17, "$.schedules[1]")),
        ('schedule: "*/7 * * * *"', ("UnevenSteps", 3, 11, "$.schedule")),
        ("retries: 101", ("InvalidValue", 3, 10, "$.retries")),
        ("retries: many", ("WrongType", 3, 10, "$.retries")),
        ("retries: true", ("WrongType", 3, 10, "$.retries")),
        ("overlap: {policy: quue}", ("InvalidValue", 3, 19, "$.overlap.policy")),
        ("overlap: {policy: queue, limit: 0}", ("InvalidValue", 3, 33, "$.overlap.limit")),
        ("overlap: {policy: allow, limit: 3}", ("ConflictingKeys", 3, 26, "$.overlap.limit")),
        ("timezone: Berlin\nschedules: [7h, 5h]", ("InvalidTimezone", 3, 11, "$.timezone")),
        ("_anchors: {}", ("UnknownKey", 3, 1, "$._anchors")),
    ],
)
def test_a_finding_points_at_the_short_form(text: str, finding: tuple[str, int, int, str]) -> None:
    assert findings(text) == [finding]


def test_hints_of_warnings_fit_the_short_form() -> None:
    [finding] = read(f'{BASE}schedule: "*/7 * * * *"\n').findings
    assert finding.hint is not None
    assert finding.hint.startswith("write schedule: {interval: 7m} for even spacing; write schedule: {cron: ")
    [finding] = read(f'{BASE}timezone: Europe/Berlin\nschedule: "30 2 * * *"\n').findings
    assert finding.code == "ClockChange"
    hint = 'choose another time, or write {cron: "30 2 * * *", dst: …} and set dst.gap and dst.repeat'
    assert finding.hint == hint


@pytest.mark.parametrize(
    ("default", "own", "merged"),
    [
        ("retries: 3", "retries: {delay: 5s}", {"limit": 3, "delay": "5s"}),
        ("retries: {limit: 5, delay: 10s}", "retries: 2", {"limit": 2, "delay": "10s"}),
        ("retries: 3", "retries: null", None),
        ("retries: 3", "", {"limit": 3}),
        ("overlap: queue", "overlap: {limit: 3}", {"policy": "queue", "limit": 3}),
        ("overlap: {policy: queue, limit: 3}", "overlap: skip", "skip"),
        ("overlap: {policy: queue, limit: 3}", "overlap: {policy: skip}", {"policy": "skip", "limit": 3}),
        (
            "schedule: {cron: 0 9 * * *, timezone: Asia/Tokyo}",
            "schedule: 0 8 * * *",
            {"cron": "0 8 * * *", "timezone": "Asia/Tokyo"},
        ),
        (
            "schedule: {cron: 0 9 * * *, day_or: false, timezone: Asia/Tokyo}",
            "schedule: 1h",
            {"interval": "1h", "timezone": "Asia/Tokyo"},
        ),
        ("schedule: 1h", "schedule: {jitter: 5m}", {"interval": "1h", "jitter": "5m"}),
    ],
)
def test_short_forms_merge_as_long_ones_do(default: str, own: str, merged: object) -> None:
    key = default.partition(":")[0]
    by_default = one(own, project=f"defaults: {{{default}}}")
    by_environment = one(own, project=f"environments: {{prod: {{defaults: {{{default}}}}}}}", environment="prod")
    by_overlay = one(f"{default}\nenvironments: {{prod: {{{own}}}}}", environment="prod")
    for deployment in (by_default, by_environment, by_overlay):
        assert deployment.document.get(key) == merged


def test_a_finding_in_a_merged_short_form_points_at_its_file() -> None:
    [finding] = read(BASE + "retries: {max_delay: 1s}", project="defaults:\n  retries: 3\n").findings
    assert (finding.file, finding.line, finding.column) == ("deployments/a.yaml", 3, 22)
    [finding] = read(BASE, project='defaults:\n  schedule: "61 * * * *"\n').findings
    assert (finding.file, finding.line, finding.path) == ("controller.yaml", 2, "$.defaults.schedule")
    [finding] = read(BASE + "environments: {prod: {schedule: soon}}", environment="prod").findings
    assert (finding.line, finding.path) == (3, "$.environments.prod.schedule")


def test_the_time_zone_of_a_deployment_is_the_default_of_its_schedules() -> None:
    text = 'timezone: Asia/Tokyo\nschedules: ["0 9 * * *", {cron: "0 8 * * *", timezone: UTC}]'
    first, second = one(text).schedules
    assert (first.timezone, second.timezone) == ("Asia/Tokyo", "UTC")
    [explicit] = one('schedule: {cron: "0 9 * * *", timezone: Asia/Tokyo}').schedules
    assert explicit == first
    assert one("", project="defaults: {timezone: Asia/Tokyo}").timezone == "Asia/Tokyo"


def test_the_time_zone_utc_does_not_change_the_id_of_a_schedule() -> None:
    assert one("timezone: UTC\nschedule: 1h").schedules == one("schedule: 1h").schedules


def test_keys_that_begin_with_x_are_ignored_at_the_top_only() -> None:
    ignored = "x-defaults: &d {limit: 2}\nx-text: 5\nretries: *d\nenvironments: {prod: {x-a: 1}}"
    assert one(ignored, project="x-a: {b: 1}", environment="prod").document == one("retries: 2").document
    assert findings("retries: {limit: 2, x-a: 1}") == [("UnknownKey", 3, 21, "$.retries['x-a']")]


def test_a_document_with_ignored_keys_only_declares_nothing() -> None:
    state = read("- x-base: &base {flow: f.py:m, retries: 2}\n- name: a\n  <<: *base\n- {name: b, <<: *base}\n")
    assert state.findings == ()
    assert {name: deployment.retries.limit for name, deployment in state.deployments.items()} == {"a": 2, "b": 2}
    assert state.document_count == 2
    assert [finding.code for finding in read("x-only: 1\n").findings] == ["EmptyFile"]


def test_an_overlap_policy_has_a_limit() -> None:
    deployment = one("overlap: {policy: replace, limit: 3}")
    assert (deployment.overlap, deployment.overlap_limit) == (Overlap.REPLACE, 3)
    assert (one("overlap: {limit: 2}").overlap, one("").overlap_limit) == (Overlap.SKIP, 1)


@given(
    st.dictionaries(st.sampled_from(["limit", "delay", "backoff"]), st.integers(1, 9), min_size=1), st.integers(0, 9)
)
def test_the_number_of_retries_merges_like_the_key_limit(mapping: dict[str, int], number: int) -> None:
    written = f"retries: {mapping}".replace("'", "")
    short = one(written, project=f"defaults: {{retries: {number}}}")
    assert short == one(written, project=f"defaults: {{retries: {{limit: {number}}}}}")
    short = one(f"retries: {number}", project=f"defaults: {{{written}}}")
    assert short.document["retries"] == {**mapping, "limit": number}
