"""Problems with the same cause are one group, in the order of their first problem."""

from datetime import timedelta

import pytest

from controller.model.failure_cause import shared_cause
from controller.queries.attention import Attention, AttentionCode
from controller.queries.attention_groups import group_attention
from tests.conftest import NOW

REFUSED = "ConnectionError: warehouse.internal:5432 refused the connection"


def problem(name: str, message: str, code: AttentionCode = AttentionCode.FAILED_RUN, minutes: int = 0) -> Attention:
    since = NOW - timedelta(minutes=minutes)
    title = {AttentionCode.INVALID_DEPLOYMENT: f"{name} is not valid"}.get(code, f"{name}: the last run failed")
    return Attention(
        code=code, kind="error", title=title, message=message, subject=name, deployment=name, run_id=name, since=since
    )


def names(items: list[Attention]) -> list[list[str | None]]:
    return [[item.deployment for item in group.items] for group in group_attention(items)]


def test_the_same_error_in_several_deployments_is_one_group() -> None:
    items = [
        problem("a", f"load-1: {REFUSED} → publish-1 not run", minutes=5),
        problem("b", "ValueError: no rows"),
        problem("c", REFUSED, minutes=90),
    ]
    first, second = group_attention(items)
    assert [item.deployment for item in first.items] == ["a", "c"]
    assert (first.title, first.cause, first.since) == ("2 deployments fail", REFUSED, NOW - timedelta(minutes=90))
    assert (second.title, second.cause) == ("b: the last run failed", "ValueError: no rows")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("TimeoutError: no answer after 30.2 s", "TimeoutError: no answer after 31.7 s", True),
        ("KeyError: <Row at 0x7f01>", "KeyError: <Row at 0x7fa2>", True),
        ("ConnectionError: db1 is down", "ConnectionError: db2 is down", False),
        ("exit code 1", "exit code 1", False),
        ("", "", False),
    ],
)
def test_only_equal_errors_are_the_same_cause(one: str, other: str, is_same: bool) -> None:
    assert len(names([problem("a", one), problem("b", other)])) == (1 if is_same else 2)


def test_a_task_is_no_part_of_the_shared_cause() -> None:
    assert shared_cause("score_shard-18: ValueError: shard 17: checksum mismatch → merge-1 not run") == (
        "ValueError: shard 17: checksum mismatch"
    )
    assert shared_cause("ValueError: shard-17: broken") == "ValueError: shard-17: broken"


def test_invalid_deployments_with_one_error_and_equal_problems_of_the_source_are_groups() -> None:
    code = AttentionCode.INVALID_DEPLOYMENT
    source = Attention(
        code=AttentionCode.SOURCE, kind="error", title="Source: PathNotFound", message="x", subject="source"
    )
    groups = group_attention(
        [source, source, problem("a", "x", code), problem("b", "x", code), problem("c", "z", code)]
    )
    assert [group.title for group in groups] == ["Source: PathNotFound", "a and 1 more are invalid", "c is not valid"]


def test_thousands_of_problems_are_grouped_in_their_order() -> None:
    items = [problem(f"d{number:04}", REFUSED if number % 3 else "exit code 1") for number in range(3000)]
    groups = names(items)
    assert len(groups) == 1001
    assert groups[0] == ["d0000"]
    assert len(groups[1]) == 2000
