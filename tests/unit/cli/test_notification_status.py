"""`status` and `doctor` say which channels do not work, what was not delivered, and what to do."""

from datetime import timedelta

from controller.clock import SystemClock
from controller.model.notifications import ChannelState, ChannelStatus, Message, MessageState, SettingsProblem
from controller.settings import default_state_directory
from controller.store import Store, Transaction, messages
from controller.store.state_directory import StateDirectory
from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command

NOW = SystemClock().now()
STATES = {"mail": ChannelState.MISCONFIGURED, "ops": ChannelState.READY, "hook": ChannelState.FAILING}


def message(number: int, delivery: MessageState, *, days: int = 0) -> Message:
    return Message(
        id=f"01a20a24-34e0-7000-97e2-{number:012x}",
        channel="ops",
        state="failed",
        title="t",
        body="b",
        created_at=NOW - timedelta(days=days),
        not_before=NOW,
        delivery=delivery,
    )


def record(tx: Transaction) -> None:
    """Record a channel in each state, messages that did not arrive, and an invalid `notify.yaml`."""
    for name, state in STATES.items():
        reason = f"{name} does not work"
        messages.save_channel(tx, ChannelStatus(name=name, kind="webhook", state=state, message=reason, since=NOW))
    messages.add(tx, [message(1, MessageState.WAITING), message(2, MessageState.UNDELIVERABLE)])
    messages.add(tx, [message(3, MessageState.UNDELIVERABLE, days=8), message(4, MessageState.SENT)])
    messages.save_settings_problem(tx, SettingsProblem(message="unknown key", hint="write `channels`", since=NOW))


def test_status_and_doctor_show_what_does_not_arrive_and_what_to_do(
    repository: GitRepository, command: Command
) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: [echo]\n"})
    where = ("--repo", str(repository.path))
    assert command("run", "--once", *where).code == 0
    assert "notifications: no channels" in command("doctor", *where).out
    store = Store.open(StateDirectory(default_state_directory(repository.path)).database)
    with store.write() as tx:
        record(tx)
    store.close()

    status = command("status", "-o", "json", *where).json
    notifications = status["notifications"]
    assert (notifications["waiting"], notifications["undeliverable"]) == (1, 1)
    assert [channel["state"] for channel in notifications["channels"]] == ["failing", "misconfigured", "ready"]
    assert notifications["problem"]["hint"] == "write `channels`"
    assert [problem["title"] for problem in status["problems"]] == [
        "The new version of notify.yaml is not used",
        "Channel hook: the last delivery failed",
        "Channel mail is misconfigured",
        "1 message could not be delivered",
    ]
    text = command("status", *where).out
    for words in ("3 channels, 1 waiting, 1 undeliverable", "mail: mail does not work", "notify log --undelivered"):
        assert words in text

    result = command("doctor", "-o", "json", *where)
    checks = {check["name"]: check for check in result.json if check["status"] != "ok"}
    assert result.code == 1
    assert checks["channel mail"]["status"] == "error"
    assert checks["channel mail"]["hint"] == "correct it, then run `controller notify test mail`"
    assert checks["channel hook"]["status"] == "warning"
    assert "the new version is not used" in checks["notify.yaml"]["message"]
    assert checks["messages"]["message"] == "1 waiting, 1 undeliverable in the last 7 days"
