"""The actions of the live view: run, cancel, hold, resume, approve and copy. Each asks before it sends a request."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from controller.cli.live_view.listing import Target
from controller.cli.live_view.loader import Loader
from controller.cli.live_view.pages import DeploymentPage, Page, WithheldPage
from controller.cli.live_view.prompt import Prompt, question
from controller.client import Client
from controller.text import format_count

_MOST_FIELDS = 6


class Desk(Protocol):
    """The part of the view that the actions use."""

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


def ask_run(desk: Desk) -> None:
    """Ask for the parameters that have no value, then whether to run the deployment."""
    name = desk.target.deployment
    if name is None:
        desk.say("Select a deployment first.")
        return

    def ask(form: Mapping[str, Any]) -> None:
        fields = [field for field in form["fields"] if field["required"] and not field["is_given"]]
        if len(fields) > _MOST_FIELDS:
            desk.say(f"{name} needs {len(fields)} parameters: controller trigger {name} --param KEY=VALUE …")
        else:
            _ask_parameters(desk, name, fields, {})

    desk.loader.submit("form", lambda client: client.form(name), ask)


def _ask_parameters(desk: Desk, name: str, fields: Sequence[Mapping[str, Any]], values: dict[str, Any]) -> None:
    if not fields:
        shown = " ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
        text = f"Run {name} now with {shown}?" if values else f"Run {name} now?"
        _ask(desk, text, lambda client: client.trigger(name, values), lambda run: f"Started run {run['run_id'][-12:]}.")
        return
    first, kind = fields[0], fields[0]["kind"]

    def submit(text: str) -> None:
        try:
            value = _parse_value(text, kind)
        except ValueError:
            desk.say(f"{first['name']}: {text!r} is not a valid {kind}.")
            return
        _ask_parameters(desk, name, fields[1:], {**values, first["name"]: value})

    choices = " or ".join(json.dumps(choice) for choice in first["choices"])
    desk.prompt = Prompt(label=f"{name}: {first['name']} ({choices or first['type'] or kind}) = ", submit=submit)


def _parse_value(text: str, kind: str) -> Any:
    """Return the value of a parameter. Raises ValueError."""
    return text if kind in ("text", "choice") else json.loads(text)


def ask_cancel(desk: Desk) -> None:
    """Ask whether to cancel the selected run."""
    run_id = desk.target.run_id
    if run_id is None:
        desk.say("Select a run first.")
        return
    about = desk.target.deployment or "this deployment"
    reason = "cancelled in the live view"
    _ask(
        desk,
        f"Cancel run {run_id[-12:]} of {about}?",
        lambda client: client.cancel(run_id, reason),
        lambda _: f"Run {run_id[-12:]} is being cancelled.",
    )


def ask_hold(desk: Desk) -> None:
    """Ask for the reason of a hold, or whether to end the hold."""
    name = desk.target.deployment
    if name is None:
        desk.say("Select a deployment first.")
        return

    def hold(reason: str) -> None:
        text = reason.strip() or "held in the live view"
        _send(desk, lambda client: client.hold(name, text), lambda _: f"The schedules of {name} are on hold.")

    def ask(detail: Mapping[str, Any]) -> None:
        if detail["held"]:
            _ask(desk, f"Resume {name}?", lambda client: client.resume(name), lambda _: f"{name} is resumed.")
        else:
            desk.prompt = Prompt(label=f"Hold the schedules of {name}? Reason, Esc cancels: ", submit=hold)

    desk.loader.submit("hold", lambda client: client.deployment(name), ask)


def ask_approve(desk: Desk) -> None:
    """Show the withheld deletions first; from there, ask whether to approve them."""
    if not isinstance(desk.page, WithheldPage):
        desk.open(WithheldPage())
        return
    withheld = desk.page.withheld
    if withheld is None:
        desk.say("No deletions wait for approval." if desk.page.is_loaded else "The deletions are not loaded yet.")
        return
    count = format_count(len(withheld["deployments"]), "deployment")
    _ask(
        desk,
        f"Delete {count}?",
        lambda client: client.approve(withheld["digest"]),
        lambda approved: f"Deleted {format_count(len(approved['deleted']), 'deployment')}.",
    )


def ask_copy(desk: Desk) -> None:
    """Ask what to copy: the name, the id or the reason."""
    target = desk.target
    values = {
        "n": ("n name", target.deployment),
        "i": ("i run id", target.run_id),
        "c": ("c commit", target.sha),
        "w": ("w why", target.text),
    }
    choices = {key: (label, value) for key, (label, value) in values.items() if value}
    if not choices:
        desk.say("Nothing to copy is selected.")
        return

    def copy(text: str) -> Callable[[], None]:
        return lambda: desk.copy(text)

    labels = "  ".join(label for label, _ in choices.values())
    desk.prompt = Prompt(label=f"Copy: {labels}", choices={key: copy(value) for key, (_, value) in choices.items()})


def is_held(page: Page | None) -> bool:
    """Return whether the open page is that of a deployment on hold."""
    return isinstance(page, DeploymentPage) and page.is_held


def _ask(desk: Desk, text: str, job: Callable[[Client], Any], describe: Callable[[Any], str]) -> None:
    desk.prompt = question(text, lambda: _send(desk, job, describe))


def _send(desk: Desk, job: Callable[[Client], Any], describe: Callable[[Any], str]) -> None:
    def done(result: Any) -> None:
        desk.say(describe(result))
        desk.refresh()

    desk.loader.submit("action", job, done)
