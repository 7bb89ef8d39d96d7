"""Keys and values of other programs get a hint with the right form, which is valid in the same place."""

import pytest
import yaml

from controller.manifests import foreign_keys
from controller.manifests.reader import ManifestReader
from controller.model.findings import Severity
from tests.unit.manifests.conftest import NOW, Read, manifest

BASE = "name: a\nflow: f.py:m\n"
OUTSIDE_HINT = 'remove it, or add windows: [{days: mon-fri, from: "06:00", to: "20:00"}]'


def hint_of(read: Read, text: str, key: str) -> str:
    """The hint at the key or value `key`, whatever else is found."""
    hints = [finding.hint for finding in read(text).findings if f".{key}" in finding.path or f"'{key}'" in finding.path]
    assert len(hints) >= 1
    return hints[0] or ""


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("schedule: daily", 'schedule: {cron: "@daily"}'),
        ("schedule: 3600", "schedule: {interval: 3600}"),
        ('schedule: ["0 2 * * *"]', 'schedule: {cron: "0 2 * * *"}'),
        ("schedule: [{cron: 0 2 * * *}]", 'schedule: {cron: "0 2 * * *"}'),
        ('schedules: "0 2 * * *"', 'schedules: [{cron: "0 2 * * *"}]'),
        ('schedule_interval: "0 2 * * *"', 'schedule: {cron: "0 2 * * *"}'),
        ('cron: "0 2 * * *"', 'schedule: {cron: "0 2 * * *"}'),
        ("interval: 1h", "schedule: {interval: 1h}"),
        ("every: 1h", "schedule: {interval: 1h}"),
        ("rrule: FREQ=DAILY", "schedule: {rrule: FREQ=DAILY}"),
        ('retries: "3"', "retries: {limit: 3}"),
        ("retry: 3", "retries: {limit: 3}"),
        ("max_retries: 3", "retries: {limit: 3}"),
        ("retry_policy: {limit: 3, interval_sec: 60}", "retries: {limit: 3, delay: 60}"),
        ("retry_delay: 60", "retries: {limit: 1, delay: 60}"),
        ("retry_delay_seconds: 60", "retries: {limit: 1, delay: 60}"),
        ("backoffLimit: 4", "retries: {limit: 4}"),
        ("timeout_seconds: 90", "timeout: 90s"),
        ("timeout-minutes: 5", "timeout: 5m"),
        ("activeDeadlineSeconds: 90", "timeout: 90s"),
        ("startingDeadlineSeconds: 200", "start_deadline: 200s"),
        ("catchup: false", "catchup: {policy: none}"),
        ("catchup: true", "catchup: {policy: all}"),
        ("catchup: none", "catchup: {policy: none}"),
        ("concurrency_limit: 1", "overlap: queue"),
        ("concurrency_limit: 3", "overlap: {policy: queue, limit: 3}"),
        ("concurrency_limit: {limit: 2, collision_strategy: ENQUEUE}", "overlap: {policy: queue, limit: 2}"),
        ("max_active_runs: 16", "overlap: {policy: queue, limit: 16}"),
        ("overlap: 3", "overlap: {policy: queue, limit: 3}"),
        ("tz: Europe/Berlin", "timezone: Europe/Berlin"),
        ("flow_run_name: load-{due_time}", 'run_name: "load-{due_time}"'),
        ("schedule: 15 minutes", 'schedule: {cron: "*/15 * * * *"}'),
        ("concurrencyPolicy: Forbid", "overlap: skip"),
        ("concurrencyPolicy: Replace", "overlap: replace"),
        ("max_active_runs: 1", "overlap: queue"),
        ("concurrency: {group: a, cancel-in-progress: true}", "overlap: replace"),
        ("params: {x: 1}", "parameters: {x: 1}"),
        ("parameters: [{name: x, value: 1}]", "parameters: {x: 1}"),
        ("parameters: [{x: 1}, {y: a b}]", 'parameters: {x: 1, y: "a b"}'),
        ("paused: true", "suspend: true"),
        ("is_paused_upon_creation: false", "suspend: false"),
        ("active: false", "suspend: true"),
        ("environment: {A: b, N: 1}", 'env: {A: b, N: "1"}'),
        ('environment: ["A=b c"]', 'env: {A: "b c"}'),
        ("env: [{name: A, value: b}]", "env: {A: b}"),
        ("secret: API_TOKEN", "secrets: {API_TOKEN: {env: API_TOKEN}}"),
        ("secrets: [API_TOKEN]", "secrets: {API_TOKEN: {env: API_TOKEN}}"),
        ("labels: {team: data}", "tags: [team=data]"),
        ("labels: [a, b]", "tags: [a, b]"),
        ("tags: {team: data}", "tags: [team=data]"),
        ("workdir: reports", "working_directory: reports"),
        ("restart: always", "retries: {limit: 3, on: [failed, crashed]}"),
        ("retention: 30", "retention: {runs: 30}"),
        ('schedule: ["0 2 * * *", "@daily"]', 'schedules: [{cron: "0 2 * * *"}, {cron: "@daily"}]'),
        ("schedules: {early: {cron: 0 2 * * *}}", 'schedules: [{id: early, cron: "0 2 * * *"}]'),
        ("schedule: {cron: ['0 2 * * *', '0 4 * * *']}", 'schedules: [{cron: "0 2 * * *"}, {cron: "0 4 * * *"}]'),
        ("schedule: timedelta(days=1)", "schedule: {interval: 1d}"),
        ("schedule: Mon..Fri 09:00", 'schedule: {cron: "0 9 * * mon-fri"}'),
        ("schedule: 0 0 9 ? * MON", 'schedule: {cron: "0 9 * * MON"}'),
        ("schedule: CRON_TZ=PST 0 9 * * *", 'schedule: {timezone: America/Los_Angeles, cron: "0 9 * * *"}'),
        ("on: {schedule: [{cron: 0 9 * * *}]}", 'schedule: {cron: "0 9 * * *"}'),
        ("OnCalendar: '*-*-* 04:00:00'", 'schedule: {cron: "0 4 * * *"}'),
        ("OnCalendar: weekly", 'schedule: {cron: "0 0 * * mon"}'),
        ("RuntimeMaxSec: 10min", "timeout: 10m"),
        ("timeout: {minutes: 10}", "timeout: 10m"),
        ("execution_timeout: timedelta(minutes=5)", "timeout: 5m"),
        ("retryPolicy: {limit: 3, intervalSec: 5}", "retries: {limit: 3, delay: 5}"),
        ("retry_delay_seconds: [10, 20, 40]", "retries: {limit: 1, delay: 10, backoff: 2}"),
        ("restart: 'no'", "retries: {limit: 0}"),
        ("concurrency_policy: Forbid", "overlap: skip"),
        ("concurrency_limit: {limit: 1, collision_strategy: CANCEL_NEW}", "overlap: skip"),
        ("overlap: false", "overlap: skip"),
        ("prune: true", "prune: enabled"),
        ("prune: false", "prune: disabled"),
        ("suspend: 'true'", "suspend: true"),
        ("schedule: {cron: '0 2 * * *', tz: Europe/Paris}", "timezone: Europe/Paris"),
    ],
)
def test_a_foreign_key_gets_a_hint_that_is_valid(read: Read, written: str, right: str) -> None:
    key = "tz" if "tz:" in written else "cron" if "cron: [" in written else written.partition(":")[0]
    assert f"write {right}" in hint_of(read, f"{BASE}{written}\n", key)
    fixed = f"schedule: {{cron: '0 4 * * *', {right}}}" if "tz:" in written else right
    state = read(f"{BASE}{fixed}\n")
    assert [one for one in state.findings if one.severity is Severity.ERROR] == []
    assert yaml.safe_load(fixed).keys() <= state.deployments["a"].document.keys()


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("entrypoint: flows/etl.py:main", "flow: flows/etl.py:main"),
        ("run: python etl.py --day 1", 'command: [python, etl.py, --day, "1"]'),
        ("script: etl.py", "command: [python, etl.py]"),
        ("run: pg_dump x | gzip > y", 'command: [sh, -c, "pg_dump x | gzip > y"]'),
    ],
)
def test_foreign_targets_become_commands_or_flows(read: Read, written: str, right: str) -> None:
    assert hint_of(read, f"name: a\n{written}\n", written.partition(":")[0]) == f"write {right}"
    assert set(read(f"name: a\n{right}\n").deployments) == {"a"}


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("start_date: 2026-01-01\nschedule: {cron: 0 9 * * *}", 'schedule: {cron: "0 9 * * *", start: 2026-01-01}'),
        ("end_date: 2027-01-01\nschedule: 0 9 * * *", 'schedule: {cron: "0 9 * * *", end: 2027-01-01}'),
    ],
)
def test_a_schedule_key_at_the_top_is_moved_into_the_schedule(read: Read, written: str, right: str) -> None:
    hint = hint_of(read, f"{BASE}{written}\n", written.partition(":")[0])
    assert f"it belongs in a schedule: write {right}" in hint
    if right.startswith("schedule"):
        assert read(f"{BASE}{right}\n").findings == ()


def test_a_cron_at_the_top_takes_its_time_zone_along(read: Read) -> None:
    hint = hint_of(read, f"{BASE}timezone: Europe/Berlin\ncron: 0 9 * * *\n", "cron")
    assert hint == 'write schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}'


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("flow_runner", "processes on the controller's machine"),
        ("image", "processes on the controller's machine"),
        ("work_pool", "queue: NAME"),
        ("steps", "one flow or one command"),
        ("downstream", "after: NAME"),
        ("storage", "comes from git"),
        ("spec", "at the top"),
        ("default_args", "at the top"),
        ("venv", "python: {requirements: …}"),
        ("args", "items of command"),
        ("shell", "no shell"),
        ("user", "the operator decides"),
    ],
)
def test_a_key_without_a_counterpart_has_a_hint_to_remove_it(read: Read, key: str, says: str) -> None:
    hint = hint_of(read, f"{BASE}{key}: x\n", key)
    assert "remove it" in hint
    assert says in hint


@pytest.mark.parametrize(
    ("key", "says"), [("requirements", "{requirements: "), ("python_version", '{version: "3.12"}')]
)
def test_a_key_of_the_python_environment_belongs_under_python(read: Read, key: str, says: str) -> None:
    hint = hint_of(read, f"{BASE}{key}: x\n", key)
    assert hint.startswith("write it under python")
    assert says in hint


def test_a_list_under_deployments_has_a_hint(read: Read) -> None:
    (finding,) = read("deployments:\n  - {name: a, flow: f.py:m}\n").findings
    assert finding.hint is not None
    assert finding.hint.startswith("remove deployments: and write the list itself")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Nightly Sales_2", "Nightly-Sales_2"),
        ("Sales/EU", "Sales-EU"),
        ("Nightly_Sales.v2", "Nightly_Sales.v2"),
        ("x/" * 80, "x-" * 49 + "x"),
    ],
)
def test_the_name_of_a_dag_becomes_a_name(read: Read, title: str, name: str) -> None:
    assert hint_of(read, f"flow: f.py:m\ndag_id: {title}\n", "dag_id") == f"write name: {name}"


@pytest.mark.parametrize("value", ["[[[]]]", "{a: {b: []}}", "null", "1e9", "[]", "{}", "'x'", "true", "-5"])
def test_any_value_of_a_foreign_key_gives_findings(read: Read, value: str) -> None:
    own = (foreign_keys._TOP, foreign_keys._TYPES, foreign_keys._INSIDE["schedule"])
    tables = (*own, foreign_keys._REMOVAL_HINT_BY_KEY)
    for key in (*(key for table in tables for key in table), "cron", "retry_delay", "schedule_interval"):
        assert read(f"{BASE}{key}: {value}\nx{key}: 1\n").findings


@pytest.mark.parametrize(
    "written", ["schedule: null", "schedule: none", "schedule: '@once'", "schedule_interval: null"]
)
def test_an_empty_schedule_has_a_hint_to_remove_it(read: Read, written: str) -> None:
    key = written.partition(":")[0]
    assert hint_of(read, f"{BASE}{written}\n", key).startswith("remove it: a deployment without a schedule runs when")


@pytest.mark.parametrize("key", ["params", "inputs", "paused", "is_active", "active"])
def test_a_deployment_key_is_not_moved_into_the_schedule(read: Read, key: str) -> None:
    value = "{x: 1}" if key in ("params", "inputs") else "true"
    hint = hint_of(read, f"{BASE}{key}: {value}\n", key)
    assert hint.startswith(("write parameters: {x: 1}", "write suspend: "))


def test_a_hint_does_not_add_an_existing_key(read: Read) -> None:
    assert hint_of(read, f"{BASE}id: b\n", "id") == "remove it: name is already set"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("timezone: Europe/Berlin", "write defaults: {timezone: Europe/Berlin}"),
        ("tz: Europe/Berlin", "write defaults: {timezone: Europe/Berlin}"),
        ("retries: 3", "write defaults: {retries: 3}"),
        ("max_retries: 3", "write defaults: {retries: {limit: 3}}"),
        ("tags: [a]\ndefaults: {}", "write tags under defaults"),
        ("secrets: {a: hunter2}", "write defaults: {secrets: …}"),
        ("queue: heavy", "write defaults: {queue: heavy}"),
        ("queue: {heavy: {limit: 2}}", "did you mean queues?"),
        ("environment: {prod: {}}", "did you mean environments?"),
    ],
)
def test_a_key_of_a_deployment_in_the_project_file_belongs_under_defaults(written: str, hint: str) -> None:
    state = ManifestReader().read([], NOW, manifest("controller.yaml", f"{written}\n"))
    assert [finding.hint for finding in state.findings] == [hint]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("on: [{webhook: {name: x, secret: abc}}]", "write where the value comes from: {env: NAME} or {file: /path}"),
        ("schedule: {cron: '@daily', shift: previous}", "write previous_business_day"),
        (
            "schedule: {cron: '@daily', windows: {from: '06:00', to: '07:00'}}",
            'write a list: windows: [{days: mon-fri, from: "06:00", to: "20:00"}]',
        ),
        ("on: []", "remove it, or write what starts a run: [{files: …}] or [{webhook: …}]"),
        (
            "calendars: {w: {file: a.ics, dates: []}}",
            "only a calendar in controller.yaml can be a file: move it there, or write dates",
        ),
        ('enabled: "no"', "write enabled: false"),
        ('enabled: "false"', "write enabled: false"),
        (
            "overlap: {policy: allow, limit: 3}",
            "remove limit, or write policy: queue to run at most 3 at the same time",
        ),
        ("matrix: {region: [null]}", "write a value, or remove the item"),
        ("webhook: {name: x}", "write on: [{webhook: …}]"),
        ("files: {path: /srv}", "write on: [{files: …}]"),
        ("disabled: true", "write suspend: true, or enabled: false to leave it out of an environment"),
        ("disabled: false", "write suspend: false"),
        ("calendars: {de: {holidays: Germany}}", "write DE"),
        ("calendars: {de: {holidays: DE-by}}", "did you mean DE-BY?"),
        ("calendars: {de: {holidays: de-by}}", "write DE-BY"),
        ("calendars: {de: {holidays: de-augsburg}}", "write DE-Augsburg"),
        ("calendars: {de: {holidays: [DE-BY]}}", "write DE-BY, without brackets"),
        ("calendars: {w: {dates: [{date: 2026-12-24, rrule: YEARLY}]}}", "write FREQ=YEARLY"),
        (
            "schedule: {cron: 0 9 * * *, windows: mon-fri 8:00-18:00}",
            'write windows: [{days: mon-fri, from: "08:00", to: "18:00"}]',
        ),
        (
            'schedule: {cron: 0 9 * * *, windows: "sat, sun 22:00 to 06:00"}',
            'write windows: [{days: [sat, sun], from: "22:00", to: "06:00"}]',
        ),
        (
            "schedule: {cron: 0 9 * * *, windows: always}",
            'write a list: windows: [{days: mon-fri, from: "06:00", to: "20:00"}]',
        ),
        (
            "schedule: {cron: 0 9 * * *, windows: [{days: [mon, 6]}]}",
            "write days: mon-fri, or a list such as [mon, wed, fri]",
        ),
        ("schedule: {cron: 0 9 * * *, outside: skip}", OUTSIDE_HINT),
        (
            "schedule: {cron: 0 9 * * *, calendar: de}",
            "add shift: next_business_day, or write except instead to leave out the days of the calendar",
        ),
        (
            "schedule: {cron: 0 9 * * *, holidays: DE}",
            "write except: [NAME] here, and calendars: {NAME: {holidays: DE}} at the top",
        ),
        ("on: {files: /srv/inbox}", "write files: {path: /srv/inbox}"),
        ("after: []", "remove it, or write the name of a deployment"),
        (
            "on: {webhook: {name: shop}}",
            "add secret: {env: NAME}, a variable in the environment of the controller",
        ),
        ("on: {webhook: {secret: {env: A}}}", "add name: NAME, the last part of the URL /hooks/NAME"),
        (
            "on: {files: {pattern: a}}",
            "add path: /srv/inbox, the absolute path of a folder on the machine of the controller",
        ),
        ("on: {webhook: shop}", "write webhook: {name: shop, secret: {env: NAME}}"),
        (
            "on: {files: {path: /srv, pattern: [a, b]}}",
            "write one pattern in each trigger, and a list of triggers: [{files: {…}}, {files: {…}}]",
        ),
    ],
)
def test_a_common_mistake_has_a_hint_that_works(read: Read, written: str, hint: str) -> None:
    hints = [finding.hint for finding in read(f"{BASE.replace('flow: f.py:m', 'command: [a]')}{written}\n").findings]
    assert hints == [hint]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("after: {deployments: [b], all: true}", "remove it: without any: true, all of the deployments are needed"),
        ("after: {deployment: b, timeout: 2h}", "remove it, and write start_deadline beside after"),
        ("after: {deployment: b, state: failed}", "write on: failed"),
        (
            "after: [{deployment: b, on: [failed, succeeded]}]",
            "write on: finished for every outcome; failed includes timed out and crashed runs",
        ),
    ],
)
def test_a_wrong_form_of_after_has_a_hint(read: Read, written: str, hint: str) -> None:
    found = read(f"name: a\ncommand: [a]\n{written}\n---\nname: b\ncommand: [b]\n").findings
    assert [finding.hint for finding in found] == [hint]


def test_a_secret_in_place_of_its_source_is_not_repeated(read: Read) -> None:
    [finding] = read("name: a\ncommand: [a]\non: {webhook: {name: x, secret: hunter2}}\n").findings
    assert "hunter2" not in finding.message


def test_unknown_holidays_of_a_country_are_not_guessed(read: Read) -> None:
    [finding] = read("name: a\ncommand: [a]\ncalendars: {de: {holidays: DE-XX}}\n").findings
    assert (finding.hint or "").startswith("write DE-BB, ")


def test_a_placeholder_without_a_matrix_has_a_hint(read: Read) -> None:
    [finding] = read("name: a-{n}\ncommand: [a]\n").findings
    assert finding.hint == "a placeholder needs a matrix: write matrix: {n: [a, b]} with its values"
