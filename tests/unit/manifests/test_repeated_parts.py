"""Parts that many documents have in common are read once, with the same result as if each document was read alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.manifests import build as build_module
from controller.manifests import repeated_parts
from controller.manifests.build import SCHEDULE_KEYS, SETTINGS_KEYS, TARGET_KEYS, build
from controller.manifests.repeated_parts import read_part
from controller.manifests.run_targets import read_target
from controller.manifests.schedule_fields import read_schedules
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.nodes import Document, Node, Position

NOW = datetime(2026, 7, 1, tzinfo=UTC)
DOCUMENTS = [
    "name: plain\nflow: flows/a.py:main",
    "name: plain\nflow: flows/a.py",
    "name: a\nflow_location: a.py\nflow_name: main",
    "name: a\ncommand: [echo, two words]",
    "name: a\ncommand: [echo, '1']\nskip_exit_code: 3",
    "name: a\nflow: a.py:main\nschedule: 0 2 * * *",
    "name: a\nflow: a.py:main\nschedule: 0 2 * * *\ntimezone: Europe/Berlin",
    "name: a\nflow: a.py:main\nschedule: {cron: 0 2 * * *, parameters: {x: 1}}",
    "name: a\nflow: a.py:main\nschedule: {cron: 0 2 * * *, parameters: {x: true}}",
    "name: a\nflow: a.py:main\nschedule: {cron: 0 2 * * *, parameters: {x: 1.0}}",
    "name: a\nflow: a.py:main\nschedule: {cron: 0 25 * * *}",
    "name: a\nflow: a.py:main\nschedules: [{cron: 0 2 * * *, only: x}]\ncalendars: {x: {dates: [2026-12-24]}}",
    "name: a\nflow: a.py:main\nschedules: [{cron: 0 2 * * *, only: x}]\ncalendars: {x: {dates: [2026-12-25]}}",
    "name: a\nflow: a.py:main\nretries: 3\ntimeout: 2h\noverlap: {policy: queue, limit: 2}",
    "name: a\nflow: a.py:main\nretries: {limit: 3, delay: 2m, max_delay: 1m}",
    "name: a\nflow: a.py:main\nqueue: default\npriority: 3\nprune: disabled\nstart_deadline: 5m",
    "name: a\nflow: a.py:main\ncatchup: {policy: all}",
    "name: a\nflow: a.py:main\nresources: {memory: 1GiB}\nretention: {runs: 3}",
    "name: a\nflow: a.py:main\nrenamed_from: b\nsecrets: {K: {env: E}}",
    "name: a\nflow: a.py:main\npython: {requirements: [httpx]}\nimport_paths: [src]\nworking_directory: data",
    "name: a\nflow: a.py:main\nnotify: {to: ops}\nheartbeat: https://example.org/x\nexpect: {success_every: 1d}",
    "name: a\nflow: a.py:main\non: [{files: {path: in}}, {webhook: {name: w, secret: {env: E}}}]\nafter: b",
    "name: a\nflow: a.py:main\ntimeout: 0s",
    "name: a\nflow: a.py:main\ntimeout: soon\nretries: 3",
]


class Recorder(dict[str, Any]):
    """A document that records which of its keys are read."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__(document)
        self.read = set[str]()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


def document_of(text: str) -> Document:
    [document] = load(text.encode()).documents
    return document


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_parts, "_KNOWN", {})


@pytest.mark.parametrize("text", DOCUMENTS)
@pytest.mark.parametrize(
    ("keys", "read"),
    [
        (TARGET_KEYS, lambda context: read_target(context, "")),
        (SCHEDULE_KEYS, lambda context: read_schedules(context, NOW)),
        (SETTINGS_KEYS, build_module._read_settings),
    ],
    ids=["target", "schedules", "settings"],
)
def test_a_part_reads_no_other_keys_than_it_declares(
    text: str, keys: tuple[str, ...], read: Callable[[ValidationContext], Any]
) -> None:
    context = ValidationContext(document_of(text).root, ())
    context.value = recorder = Recorder(context.value)

    read(context)

    assert recorder.read <= set(keys)


def test_documents_after_others_are_built_as_they_are_alone() -> None:
    alone = []
    for text in DOCUMENTS:
        repeated_parts._KNOWN.clear()
        alone.append(build(document_of(text), "deployments/a.yaml", NOW))
    repeated_parts._KNOWN.clear()

    for _ in range(2):
        assert [repr(build(document_of(text), "deployments/a.yaml", NOW)) for text in DOCUMENTS] == list(
            map(repr, alone)
        )


def test_equal_parts_are_read_once_and_others_as_often_as_they_differ() -> None:
    read: list[Any] = []

    def part(context: ValidationContext) -> Any:
        read.append(context.value["x"])
        return read[-1]

    for value in (1, 1, True, 1.0, "1", [1], 1, True):
        context = ValidationContext(Node({"x": value, "other": len(read)}, Position(1, 1)), ())
        assert repr(read_part(context, ("x",), part)) == repr(value)

    assert list(map(repr, read)) == ["1", "True", "1.0", "'1'", "[1]"]


def test_a_part_with_a_problem_is_read_for_each_document() -> None:
    def part(context: ValidationContext) -> None:
        context.add("InvalidValue", "wrong", ("x",))

    for _ in range(2):
        context = ValidationContext(Node({"x": 1}, Position(1, 1)), ())
        read_part(context, ("x",), part)
        assert len(context.problems) == 1


def test_few_parts_are_remembered_and_no_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_parts, "MAX_PARTS", 3)

    for index in range(10):
        read_part(ValidationContext(Node({"x": index}, Position(1, 1)), ()), ("x",), lambda context: context.value["x"])
        assert len(repeated_parts._KNOWN) <= 3
    repeated_parts._KNOWN.clear()
    read_part(
        ValidationContext(Node({"x": "y" * 2000}, Position(1, 1)), ()), ("x",), lambda context: context.value["x"]
    )

    assert not repeated_parts._KNOWN
