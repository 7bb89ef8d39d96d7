"""Policies become typed values, and invalid ones are reported at their keys."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from controller.manifests.reader import DesiredState
from controller.model.deployments import CommandTarget
from controller.model.policies import (
    Catchup,
    CatchupPolicy,
    EnvSecret,
    FileSecret,
    Overlap,
    Prune,
    Resources,
    Retention,
    Retries,
    RetryOn,
)

Read = Callable[..., DesiredState]
EXAMPLES = Path(__file__).parents[2] / "examples"
GOOD = "name: a\nflow: f.py:m\n"


def said(state: DesiredState) -> list[tuple[str, str, str | None]]:
    return [(finding.code, finding.message, finding.hint) for finding in state.findings]


def test_every_policy_is_read_into_the_deployment(read: Read) -> None:
    (found,) = read((EXAMPLES / "positive" / "every_key.yaml").read_bytes()).deployments.values()
    assert (found.overlap, found.prune, found.priority, found.queue) == (Overlap.QUEUE, Prune.DISABLED, -5, "default")
    assert found.catchup == Catchup(policy=CatchupPolicy.ALL, window=timedelta(days=2), max=500)
    assert found.start_deadline == timedelta(minutes=15)
    assert found.retries == Retries(
        limit=3,
        delay=timedelta(minutes=1),
        backoff=3.0,
        max_delay=timedelta(hours=1),
        jitter=0.5,
        on=(RetryOn.FAILED, RetryOn.CRASHED),
    )
    assert found.secrets == {
        "DB_PASSWORD": EnvSecret(env="SALES_DB_PASSWORD"),
        "TOKEN": FileSecret(file="/run/secrets/token"),
    }
    assert found.resources == Resources(
        memory=3 * 2**29, cpu_seconds=3600, processes=64, cpus=2, gpus=0.5, custom={"license": 1}
    )
    assert (found.executor, found.on_silence) == ("ray", timedelta(minutes=5))
    assert found.retention == Retention(runs=200, days=30)
    assert (found.renamed_from, found.working_directory) == ("sales", "reports")


def test_a_deployment_without_policies_has_the_defaults(read: Read) -> None:
    state = read(GOOD)
    (found,) = state.deployments.values()
    assert (found.overlap, found.catchup, found.retries.limit) == (Overlap.SKIP, Catchup(), 0)
    assert (found.queue, found.resources, found.retention, found.working_directory) == (
        "default",
        Resources(),
        Retention(),
        "",
    )
    assert state.findings == ()


@pytest.mark.parametrize(
    "text",
    [
        "overlap: skip",
        "catchup: {policy: latest, window: 60m}",
        "retries: {limit: 0, delay: 1h}",
        "queue: default",
        "priority: 0",
        "prune: enabled",
        "secrets: {A: {env: B}}",
        "resources: {memory: 1GiB}",
        "working_directory: x",
    ],
)
def test_explicit_defaults_give_no_warning(read: Read, text: str) -> None:
    assert read(GOOD + text).findings == ()


def test_a_literal_secret_is_an_error_that_does_not_repeat_it(read: Read) -> None:
    state = read(f"{GOOD}secrets: {{PASSWORD: hunter2}}")
    (finding,) = state.findings
    assert finding.code == "WrongType"
    assert finding.hint == "write where the value comes from: {env: NAME} or {file: /path}"
    assert "hunter2" not in finding.message
    assert not state.deployments


@pytest.mark.parametrize(
    ("said_size", "size"),
    [("1GiB", 2**30), ("512 MiB", 2**29), ("2GB", 2 * 10**9), ("1.5GiB", 3 * 2**29), ("1048576", 2**20)],
)
def test_sizes_are_converted_to_bytes(read: Read, said_size: str, size: int) -> None:
    (found,) = read(f"{GOOD}resources: {{memory: {said_size}}}").deployments.values()
    assert found.resources.memory == size


@pytest.mark.parametrize("wrong", ["1 gig", "-1", "1023KiB", "65TiB", "1e300", "''", "1GiB2"])
def test_an_invalid_size_is_an_error(read: Read, wrong: str) -> None:
    (finding,) = read(f"{GOOD}resources: {{memory: {wrong}}}").findings
    assert (finding.code, finding.path) == ("InvalidSize", "$.resources.memory")


@pytest.mark.parametrize(("written", "code"), [("1", 1), ("99", 99), ("255.0", 255)])
def test_a_command_can_have_a_skip_exit_code(read: Read, written: str, code: int) -> None:
    (found,) = read(f"name: a\ncommand: ['true']\nskip_exit_code: {written}\n").deployments.values()
    assert found.target == CommandTarget(argv=("true",), skip_exit_code=code)
    (found,) = read("name: a\ncommand: ['true']\n").deployments.values()
    assert found.target == CommandTarget(argv=("true",))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("command: [a]\nskip_exit_code: 0", "skip_exit_code must be at least 1", None),
        ("command: [a]\nskip_exit_code: 256", "skip_exit_code must be at most 255", None),
        ("command: [a]\nskip_exit_code: true", "skip_exit_code must be a whole number, not a boolean (true)", None),
        ("command: [a]\nskip_on_exit_code: 99", "unknown key `skip_on_exit_code`", "write skip_exit_code: 99"),
        (
            "flow: f.py:m\nskip_exit_code: 99",
            "skip_exit_code requires command",
            'remove it; a flow says that there is nothing to do with: raise Skip("reason")',
        ),
    ],
)
def test_a_wrong_skip_exit_code_says_what_is_expected(read: Read, text: str, message: str, hint: str | None) -> None:
    assert [found[1:] for found in said(read(f"name: a\n{text}\n"))] == [(message, hint)]


def test_a_fault_in_one_part_of_a_policy_does_not_hide_another(read: Read) -> None:
    text = (
        "retries: {limit: x, delay: y, max_delay: z}\n"
        "catchup: {policy: some, window: 0}\n"
        "resources: {memory: 1XB, processes: 0}\n"
    )
    assert [finding.path for finding in read(GOOD + text).findings] == [
        "$.retries.limit",
        "$.retries.delay",
        "$.retries.max_delay",
        "$.catchup.policy",
        "$.catchup.window",
        "$.resources.memory",
        "$.resources.processes",
    ]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("overlap: skp", "overlap must be skip, queue, replace or allow, not 'skp'", "did you mean skip?"),
        ("priority: 5000", "priority must be at most 1000", None),
        ("retries: {limit: -1}", "limit must be at least 0", None),
        ("retries: {limit: x}", "limit must be a whole number, not a string (x)", None),
        ("retries: {limits: 1}", "unknown key `limits`", "did you mean limit?"),
        ("retries: {delay: 1h, max_delay: 1m}", "max_delay must not be shorter than delay", None),
        ("secrets: {A: {vault: x}}", "exactly one of env or file is required", None),
        ("working_directory: ../x", "../x is outside the repository", None),
    ],
)
def test_a_wrong_policy_says_what_is_expected(read: Read, text: str, message: str, hint: str | None) -> None:
    assert any(found[1:] == (message, hint) for found in said(read(GOOD + text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("executor: local", ("local", None)),
        ("on_silence: continue", (None, None)),
        ("executor: ray\non_silence: {stop: 90}", ("ray", timedelta(seconds=90))),
    ],
)
def test_where_runs_are_executed(read: Read, text: str, expected: tuple[str | None, timedelta | None]) -> None:
    (found,) = read(f"{GOOD}{text}\n").deployments.values()
    assert (found.executor, found.on_silence) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("executor: slurm", "executor must be local or ray, not 'slurm'", None),
        ("executor: Ray", "executor must be local or ray, not 'Ray'", "did you mean ray?"),
        ("on_silence: stop", "on_silence must be continue, not 'stop'", "write {stop: 5m}, or another duration"),
        ("on_silence: 15m", "on_silence must be continue, not '15m'", "write {stop: 15m}"),
        ("on_silence: 300", "on_silence must be a string or a mapping, not a number (300)", "write {stop: 300}"),
        ("on_silence: {}", "required key `stop` is missing", "add stop: 5m, or another duration"),
        ("resources: {cpus: 0}", "cpus must be more than 0", None),
        ("resources: {cpus: -1}", "cpus must be more than 0", None),
        ("resources: {gpus: -1}", "gpus must be at least 0", None),
        ("resources: {gpus: 1.5}", "gpus must be a whole number, or less than 1", None),
        ("resources: {custom: {license: 0}}", "license must be more than 0", None),
        (
            "resources: {custom: {'a b': 1}}",
            "'a b' is not a valid name under custom",
            "use letters, digits, hyphens, underscores, dots and colons, at most 63, starting with a letter or digit",
        ),
    ],
)
def test_an_invalid_place_for_runs_is_reported(read: Read, text: str, message: str, hint: str | None) -> None:
    state = read(f"{GOOD}{text}\n")
    assert [found[1:] for found in said(state)] == [(message, hint)]
    assert not state.deployments


def test_a_negative_duration_for_silence_is_reported(read: Read) -> None:
    assert read(f"{GOOD}on_silence: {{stop: -5}}\n").findings
