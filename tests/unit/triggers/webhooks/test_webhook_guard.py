"""Requests to webhooks are limited, and events about refused ones are rare. The clock is set by hand."""

from collections import Counter
from datetime import timedelta

from controller.triggers.webhook_guard import BURST, GIT, UNDECLARED, WebhookGuard, WebhookResult
from tests.conftest import ManualClock


def test_sixty_requests_at_once_and_two_a_second_are_accepted() -> None:
    clock = ManualClock()
    guard = WebhookGuard(clock)
    assert [guard.limit("stripe") for _ in range(BURST)] == [0.0] * BURST
    assert guard.limit("stripe") == 0.5
    assert guard.limit("shop") == 0  # each webhook has a limit of its own
    clock.turn(timedelta(seconds=1))
    assert [guard.limit("stripe") > 0 for _ in range(3)] == [False, False, True]


def test_requests_without_a_valid_signature_share_one_limit() -> None:
    guard = WebhookGuard(ManualClock())
    assert [guard.limit_failures() > 0 for _ in range(21)] == [False] * 20 + [True]
    assert guard.limit(GIT) == 0


def test_a_webhook_has_at_most_one_event_a_minute_which_counts_the_others() -> None:
    clock = ManualClock()
    guard = WebhookGuard(clock)
    results = [WebhookResult.INVALID, WebhookResult.UNAUTHORIZED, WebhookResult.INVALID, WebhookResult.INVALID]
    assert [guard.count_silent("stripe", result) for result in results] == [Counter(), None, None, None]
    assert guard.count_silent("shop", WebhookResult.INVALID) == Counter()
    clock.turn(timedelta(seconds=60))
    assert guard.count_silent("stripe", WebhookResult.LIMITED) == {
        WebhookResult.INVALID: 2,
        WebhookResult.UNAUTHORIZED: 1,
    }
    assert guard.count_silent("stripe", WebhookResult.LIMITED) is None


def test_all_webhooks_have_at_most_ten_events_a_minute() -> None:
    guard = WebhookGuard(ManualClock())
    counts = [guard.count_silent(f"hook-{number}", WebhookResult.INVALID) for number in range(12)]
    assert counts == [Counter()] * 10 + [None] * 2


def test_requests_are_counted_by_webhook_and_result() -> None:
    guard = WebhookGuard(ManualClock())
    for _ in range(2):
        guard.count(GIT, WebhookResult.ACCEPTED)
    guard.count(UNDECLARED, WebhookResult.UNKNOWN)
    assert guard.counts == {(GIT, WebhookResult.ACCEPTED): 2, (UNDECLARED, WebhookResult.UNKNOWN): 1}
