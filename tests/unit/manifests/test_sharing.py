"""Deployments that declare the same, or nothing, have the same objects in memory, so thousands of them stay small."""

import dataclasses
from collections.abc import Callable

from controller.manifests.reader import DesiredState

Read = Callable[..., DesiredState]
DEFAULTED = (
    "after",
    "catchup",
    "expect",
    "resources",
    "retention",
    "retries",
    "secrets",
    "matrix",
    "env",
    "parameters",
)


def declared(number: int, extra: str = "") -> bytes:
    schedule = "schedules: [{cron: 7 3 * * *, timezone: Europe/Zurich, parameters: {days: 1}}]"
    return f"name: d{number}\nflow: flows/made_up.py:main\ntimeout: 7h\n{schedule}\n{extra}".encode()


def test_equal_declarations_are_in_memory_once(read: Read) -> None:
    first, second = read(a_yaml=declared(1), b_yaml=declared(2)).deployments.values()
    for name in (*DEFAULTED, "schedules", "target", "timeout"):
        assert getattr(first, name) is getattr(second, name), name
    assert first.document["flow"] is second.document["flow"]


def test_a_value_of_another_kind_is_not_taken_for_an_equal_one(read: Read) -> None:
    texts = [declared(n).replace(b"days: 1", days) for n, days in enumerate((b"days: 1", b"days: true", b"days: 1.0"))]
    deployments = read(a_yaml=texts[0], b_yaml=texts[1], c_yaml=texts[2]).deployments.values()
    assert [type(each.schedules[0].parameters["days"]) for each in deployments] == [int, bool, float]


def test_a_declared_policy_is_not_replaced_by_the_default(read: Read) -> None:
    extra = "retries: {limit: 3}\nresources: {memory: 1GiB}\nretention: {runs: 5}\ncatchup: {max: 2}\n"
    plain, other = read(a_yaml=declared(1), b_yaml=declared(2, extra)).deployments.values()
    assert (other.retries.limit, other.resources.memory, other.retention.runs, other.catchup.max) == (3, 2**30, 5, 2)
    assert dataclasses.replace(other, retries=plain.retries) != other
