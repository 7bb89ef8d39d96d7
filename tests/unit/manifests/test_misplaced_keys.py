"""The hint for a key of the format in the wrong place says where to write it."""

import pytest

from controller.manifests.reader import ManifestReader
from controller.model.findings import Finding
from tests.unit.manifests.conftest import NOW, Read, manifest

BASE = "name: a\ncommand: ['true']\n"


def hint_of(read: Read, text: str, key: str) -> str:
    [hint] = [
        finding.hint
        for finding in read(text).findings
        if finding.code == "UnknownKey" and f"`{key}`" in finding.message
    ]
    assert hint is not None
    return hint


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("delay: 5s", "retries: {delay: 5s}"),
        ("max_delay: 1m", "retries: {max_delay: 1m}"),
        ("cpu_seconds: 5", "resources: {cpu_seconds: 5}"),
        ("cpus: 2", "resources: {cpus: 2}"),
        ("window: 1h", "catchup: {window: 1h}"),
        ("success_every: 26h", "expect: {success_every: 26h}"),
        ("to: ops", "notify: {to: ops}"),
        ("preload: [json]", "python: {preload: [json]}"),
        ("secret: {A: {env: B}, C: hunter2}", "secrets: {A: {env: B}, C: {env: C}}"),
    ],
)
def test_a_key_of_one_section_is_written_there(read: Read, written: str, right: str) -> None:
    assert hint_of(read, f"{BASE}{written}\n", written.partition(":")[0]) == f"write {right}"
    assert not [finding for finding in read(f"{BASE}{right}\n").findings if finding.code == "UnknownKey"]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("limit: 3", "write it under overlap or retries"),
        ("policy: skip", "write it under overlap or catchup"),
        ("retries: {limit: 2}\nbackoff: 2", "write it under retries"),
        ("matrix: {region: [eu]}\nexclude: [{region: eu}]", "write it under matrix"),
        ("after: b\nany: true", "write after: {any: true, deployments: [b]}"),
        (
            "after: [b, {deployment: c, on: failed}]\nany: true",
            "write after: {any: true, deployments: [b, {deployment: c, on: failed}]}",
        ),
        ("queues: {heavy: {limit: 1}}", "write it in controller.yaml, at the root of the repository"),
        ("defaults: {timeout: 1h}", "write it in controller.yaml, at the root of the repository"),
    ],
)
def test_a_key_of_another_place_says_which(read: Read, written: str, hint: str) -> None:
    assert hint_of(read, f"{BASE}{written}\n", written.splitlines()[-1].partition(":")[0]) == hint


@pytest.mark.parametrize(
    "written",
    ["except: de-by", "only: [de-by]", "shift: next_business_day", "outside: skip", "windows: [{days: mon-fri}]"],
)
def test_keys_of_a_schedule_are_moved_into_it(read: Read, written: str) -> None:
    text = f'{BASE}schedule: "0 9 * * *"\n{written}\n'
    right = f'it belongs in a schedule: write schedule: {{cron: "0 9 * * *", {written}}}'
    assert hint_of(read, text, written.partition(":")[0]) == right


def test_an_environment_is_chosen_by_the_operator(read: Read) -> None:
    assert "--environment chooses" in hint_of(read, f"{BASE}environment: prod\n", "environment")


def test_what_an_overlay_replaces_must_be_removed_there(read: Read) -> None:
    def everywhere(text: str) -> tuple[Finding, ...]:
        reader = ManifestReader(all_environments=True)
        return reader.read((manifest("deployments/a.yaml", text),), NOW).findings

    base = f'{BASE}schedule: "0 9 * * *"\n'
    text = f"{base}environments: {{prod: {{schedules: []}}}}\n"
    [finding] = everywhere(text)
    assert finding.hint == "to replace schedule, also write schedule: null"
    right = text.replace("schedules: []", "schedules: [], schedule: null")
    assert not everywhere(right)
    [finding] = read(f"{base}schedules: []\n").findings
    assert finding.hint is None
