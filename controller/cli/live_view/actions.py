"""The actions of the live view: run, cancel, hold, resume, approve and copy. Each asks before it sends a request."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from controller.cli.live_view.listing import Target
from controller.cli.live_view.loader import Loader
from controller.cli.live_view.pages import DeploymentPage, Page, WithheldPage
from controller.cli.live_view.prompt import Prompt, question
from controller.cli.live_view.values import clock_time
from controller.client import Client
from controller.clock import Clock
from controller.errors import ScheduleError
from controller.text import format_count

_MOST_FIELDS = 6


class OpenView(Protocol):
    """The part of the view that the actions use."""

    clock: Clock
    loader: Loader
    prompt: Prompt | None

    @property
    def page(self) -> Page | None:
        """The open page."""

    @property
    def target(self) -> Target:
        """The deployment, run or commit that is selected."""

    def say(self, message: str) -> None:
        """Show a message."""

    def open(self, page: Page) -> None:
        """Open a page."""

    def refresh(self) -> None:
        """Load everything that is visible."""

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard of the terminal."""


def ask_run(view: OpenView) -> None:
    """Ask for the parameters that have no value, then whether to run the deployment."""
    name = view.target.deployment
    if name is None:
        view.say("Select a deployment first.")
        return

    def ask(form: Mapping[str, Any]) -> None:
        fields = [field for field in form["fields"] if field["required"] and not field["is_given"]]
        if len(fields) > _MOST_FIELDS:
            view.say(f"{name} needs {len(fields)} parameters: controller trigger {name} --param KEY=VALUE …")
        else:
            _ask_parameters(view, name, fields, {})

    view.loader.submit("form", lambda client: client.form(name), ask)


def _ask_parameters(view: OpenView, name: str, fields: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> None:
    if not fields:
        shown = " ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
        text = f"Run {name} now with {shown}?" if values else f"Run {name} now?"
        _ask(view, text, lambda client: client.trigger(name, values), _describe_run)
        return
    first, kind = fields[0], fields[0]["kind"]

    def submit(text: str) -> None:
        try:
            value = _parse_value(text, kind)
        except ValueError:
            view.say(f"{first['name']}: {text!r} is not a valid {kind}.")
            return
        _ask_parameters(view, name, fields[1:], {**values, first["name"]: value})

    choices = " or ".join(json.dumps(choice) for choice in first["choices"])
    view.prompt = Prompt(label=f"{name}: {first['name']} ({choices or first['type'] or kind}) = ", submit=submit)


def _describe_run(run: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (f"Triggered run {run['run_id'][-12:]}.", run["note"])))


def _parse_value(text: str, kind: str) -> Any:
    """Return the value of a parameter. Raises ValueError."""
    return text if kind in ("text", "choice") else json.loads(text)


def ask_cancel(view: OpenView) -> None:
    """Ask whether to cancel the selected run."""
    run_id = view.target.run_id
    if run_id is None:
        view.say("Select a run first.")
        return
    about = view.target.deployment or "its deployment"
    reason = "cancelled in the live view"
    _ask(
        view,
        f"Cancel run {run_id[-12:]} of {about}?",
        lambda client: client.cancel(run_id, reason),
        lambda _: f"Run {run_id[-12:]} is being cancelled.",
    )


def ask_hold(view: OpenView) -> None:
    """Ask for the reason of a hold, or whether to end the hold."""
    name = view.target.deployment
    if name is None:
        view.say("Select a deployment first.")
        return

    def ask_end(reason: str, timezone: str | None) -> None:
        label = "For how long? 2h, tomorrow 06:00; empty: until you resume it: "
        text = reason.strip() or "held in the live view"
        view.prompt = Prompt(label=label, submit=lambda end: hold(text, end.strip(), timezone))

    def hold(reason: str, end: str, timezone: str | None) -> None:
        from controller.schedules import parse_moment, zone

        local = None if timezone is None else zone(timezone)
        try:
            until = None if not end else parse_moment(end, view.clock.now(), local, sign=1).isoformat()
        except ScheduleError:
            view.say(f"{name} is not held: {end!r} is neither a duration such as 2h nor a date-time.")
            return
        limit = "" if until is None else f" until {clock_time(until, view.clock.now(), timezone)}"
        message = f"Held {name}{limit}: its schedules do not fire."
        _send(view, lambda client: client.hold(name, reason, until), lambda _: message)

    def ask(detail: Mapping[str, Any]) -> None:
        if detail["held"]:
            _ask(view, f"Resume {name}?", lambda client: client.resume(name), lambda _: f"Resumed {name}.")
        else:
            zone = detail["timezone"]
            label = f"Hold {name}? Reason (Esc cancels): "
            view.prompt = Prompt(label=label, submit=lambda reason: ask_end(reason, zone))

    view.loader.submit("hold", lambda client: client.deployment(name), ask)


def ask_approve(view: OpenView) -> None:
    """Show the withheld deletions first; from there, ask whether to approve them."""
    if not isinstance(view.page, WithheldPage):
        view.open(WithheldPage())
        return
    withheld = view.page.withheld
    if withheld is None:
        view.say("No deletions wait for approval." if view.page.is_loaded else "The deletions are not loaded yet.")
        return
    count = format_count(len(withheld["deployments"]), "deployment")
    _ask(
        view,
        f"Delete {count}?",
        lambda client: client.approve(withheld["digest"]),
        lambda approved: f"Deleted {format_count(len(approved['deleted']), 'deployment')}.",
    )


def ask_copy(view: OpenView) -> None:
    """Ask what to copy: the name, the id or the reason."""
    target = view.target
    values = {
        "n": ("n name", target.deployment),
        "i": ("i run id", target.run_id),
        "c": ("c commit", target.sha),
        "r": ("r reason", target.text),
    }
    choices = {key: (label, value) for key, (label, value) in values.items() if value}
    if not choices:
        view.say("Nothing to copy is selected.")
        return

    def copy(text: str) -> Callable[[], None]:
        return lambda: view.copy(text)

    labels = "  ".join(label for label, _ in choices.values())
    view.prompt = Prompt(label=f"Copy: {labels}", choices={key: copy(value) for key, (_, value) in choices.items()})


def is_held(page: Page | None) -> bool:
    """Return whether the open page is that of a deployment on hold."""
    return isinstance(page, DeploymentPage) and page.is_held


def _ask(view: OpenView, text: str, job: Callable[[Client], Any], describe: Callable[[Any], str]) -> None:
    view.prompt = question(text, lambda: _send(view, job, describe))


def _send(view: OpenView, job: Callable[[Client], Any], describe: Callable[[Any], str]) -> None:
    def done(result: Any) -> None:
        view.say(describe(result))
        view.refresh()

    view.loader.submit("action", job, done)
