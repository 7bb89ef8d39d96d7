"""The checks of `controller doctor` for notifications: `notify.yaml`, the channels, and messages that did not arrive.

They show what the controller has recorded last. `controller.cli.doctor_checks` calls them.
"""

from controller.clock import SystemClock
from controller.errors import ControllerError
from controller.model.notifications import ChannelState, ChannelStatus
from controller.queries.doctor import Check
from controller.queries.notifications import NotificationStatus, read_notification_status
from controller.store import Store
from controller.store.state_directory import StateDirectory
from controller.text import format_count


def check_notifications(state: StateDirectory) -> list[Check]:
    """Return the checks of notifications. A state that can't be read gets no checks here: another check reports it."""
    status = _read_status(state)
    if status is None:
        return []
    results = [_channel(channel) for channel in status.unusable]
    if status.problem is not None:
        message = f"the new version is not used: {status.problem.message}"
        results.insert(0, Check(name="notify.yaml", status="error", message=message, hint=status.problem.hint))
    if status.undeliverable or (status.waiting and status.unusable):
        counts = f"{status.waiting} waiting, {status.undeliverable} undeliverable in the last 7 days"
        hint = "`controller notify log --undelivered` lists them"
        results.append(Check(name="messages", status="warning", message=counts, hint=hint))
    return results or [_summary(status)]


def _channel(channel: ChannelStatus) -> Check:
    is_failing = channel.state is ChannelState.FAILING
    return Check(
        name=f"channel {channel.name}",
        status="warning" if is_failing else "error",
        message=f"{channel.state}: {channel.message}",
        hint=f"correct it, then run `controller notify test {channel.name}`",
    )


def _summary(status: NotificationStatus) -> Check:
    if not status.channels:
        message = "no channels: nobody is notified of failures"
        hint = "declare channels in notify.yaml: see docs/notifications.md"
        return Check(name="notifications", status="ok", message=message, hint=hint)
    waiting = f", {format_count(status.waiting, 'message')} waiting" if status.waiting else ""
    message = f"{format_count(len(status.channels), 'channel')} ready{waiting}"
    return Check(name="notifications", status="ok", message=message)


def _read_status(state: StateDirectory) -> NotificationStatus | None:
    try:
        store = Store.open_existing(state.database)
    except ControllerError:
        return None
    if store is None:
        return None
    try:
        with store.read() as tx:
            return read_notification_status(tx, SystemClock().now())
    except ControllerError:
        return None
    finally:
        store.close()
