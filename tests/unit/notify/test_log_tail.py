"""The last lines of a log are added to a message if its channel wants them."""

from controller.model.notifications import Channel, Message
from controller.notify.log_tail import MAX_CHARACTERS, MAX_LINE, with_log
from tests.conftest import NOW

CHANNEL = Channel(name="ops", webhook="http://localhost/", log_lines=3)


def message(state: str = "failed", run_id: str | None = "run-1") -> Message:
    return Message(
        id="m", channel="ops", state=state, title="t", body="It failed.", created_at=NOW, not_before=NOW, run_id=run_id,
        payload={"body": "It failed.", "state": state},
    )  # fmt: skip


def test_the_last_lines_follow_the_text_and_are_in_the_json() -> None:
    calls: list[tuple[str, int]] = []

    def read_log(run_id: str, count: int) -> list[str]:
        calls.append((run_id, count))
        return ["one", "\x1b[31mtwo\x07"]

    sent = with_log(message(), CHANNEL, read_log)
    assert calls == [("run-1", 3)]
    assert sent.body.splitlines()[:4] == ["It failed.", "", "Last lines of the log:", "one"]
    assert "\x1b" not in sent.body
    assert "\x07" not in sent.body
    assert sent.payload["body"] == sent.body
    assert sent.payload["log"][0] == "one"


def test_a_message_without_a_failed_run_or_a_channel_without_log_lines_has_none() -> None:
    def read_log(_run_id: str, _count: int) -> list[str]:
        raise AssertionError("the log must not be read")

    for each in (message("recovered"), message(run_id=None), message("source")):
        assert with_log(each, CHANNEL, read_log) is each
    silent = Channel(name="ops", webhook="http://localhost/")
    each = message()
    assert with_log(each, silent, read_log) is each


def test_a_deleted_log_changes_nothing_and_a_long_one_is_shortened() -> None:
    each = message()
    assert with_log(each, CHANNEL, lambda _run_id, _count: []) is each
    lines = with_log(each, CHANNEL, lambda _run_id, _count: ["x" * 10_000] * 200).payload["log"]
    assert 1 < len(lines) < 200
    assert max(map(len, lines)) <= MAX_LINE + 1
    assert sum(map(len, lines)) <= MAX_CHARACTERS
