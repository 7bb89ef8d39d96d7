"""The titles of messages: what fails and what has recovered, for each kind of trouble. Called by `messages`."""

from collections.abc import Mapping, Sequence

from controller.model.notifications import RUN_TROUBLES, SOURCE_SUBJECT, IncidentMember, Trouble
from controller.text import format_count

_FAILING: Mapping[Trouble, tuple[str, str]] = {
    Trouble.FAILED: ("{} failed", "{} failed"),
    Trouble.TIMED_OUT: ("{} timed out", "{} timed out"),
    Trouble.CRASHED: ("{} crashed", "{} crashed"),
    Trouble.LATE: ("{} is late", "{} are late"),
    Trouble.OVERDUE: ("{} is overdue", "{} are overdue"),
    Trouble.INVALID: ("{} is invalid", "{} are invalid"),
    Trouble.WITHHELD: ("The deletion of {} waits for approval", "The deletion of {} waits for approval"),
    Trouble.PYTHON: ("{} has no Python environment", "{} have no Python environment"),
    Trouble.SOURCE: ("{} can't be read", "{} can't be read"),
    Trouble.STORAGE: ("The disk of the controller is full", "The disk of the controller is full"),
}
"""The title for one subject, and for several."""
_RECOVERED: Mapping[Trouble, tuple[str, str]] = {
    Trouble.LATE: ("{} is no longer late", "{} are no longer late"),
    Trouble.OVERDUE: ("{} is no longer overdue", "{} are no longer overdue"),
    Trouble.INVALID: ("{} is valid again", "{} are valid again"),
    Trouble.WITHHELD: ("The deletion of {} is settled", "The deletion of {} is settled"),
    Trouble.PYTHON: ("{} has its Python environment", "{} have their Python environments"),
    Trouble.SOURCE: ("{} can be read again", "{} can be read again"),
    Trouble.STORAGE: ("The disk of the controller has free space again",) * 2,
}
_MANIFEST, _SOURCE = "A manifest", "The source"


def failing_title(members: Sequence[IncidentMember], *, is_more: bool = False) -> str:
    """Return what fails: `etl failed 3 times in a row`, `3 deployments timed out`. With `is_more`, besides others."""
    trouble = members[0].trouble
    if len(members) > 1 and any(member.trouble is not trouble for member in members):
        trouble = Trouble.FAILED
    title = _title(_FAILING[trouble], members, "more deployment" if is_more else "deployment")
    if len(members) == 1 and trouble in RUN_TROUBLES and members[0].failures > 1:
        return f"{title} {members[0].failures} times in a row"
    return title


def recovered_title(members: Sequence[IncidentMember]) -> str:
    """Return what no longer fails: `etl recovered`."""
    return _title(_RECOVERED.get(members[0].trouble, ("{} recovered", "{} recovered")), members, "deployment")


def _title(templates: tuple[str, ...], members: Sequence[IncidentMember], noun: str) -> str:
    if len(members) > 1:
        return templates[1].format(format_count(len(members), noun))
    subject = members[0].subject
    if subject == SOURCE_SUBJECT:
        subject = _MANIFEST if members[0].trouble is Trouble.INVALID else _SOURCE
    return templates[0].format(subject)
