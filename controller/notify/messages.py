"""The texts of messages about incidents: a title and a few lines for a phone, and the JSON for webhooks. Pure.

`evaluation` calls `build_message` for each report that is due.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import quote

from controller.model.commits import Commit
from controller.model.failure_cause import without_consequences
from controller.model.notifications import (
    CONTROLLER_SUBJECT,
    RUN_TROUBLES,
    SOURCE_SUBJECT,
    IncidentMember,
    Message,
    Trouble,
)
from controller.notify.deadlines import WITHDRAWN
from controller.notify.facts import Changes, Facts
from controller.notify.flapping import WINDOW, ReportKind
from controller.notify.incidents import Report
from controller.notify.trouble_titles import failing_title, recovered_title
from controller.records import dataclass
from controller.text import format_count, shorten
from controller.time_format import convert_times, format_span, format_time

MAX_NAMED = 5
"""How many deployments a text names; the others are counted."""
MAX_LISTED = 100
"""How many deployments the JSON lists."""
_MAX_REASON = 400
_SHA = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """A report with everything that its message tells."""

    report: Report
    facts: Facts
    public_url: str | None
    now: datetime

    @property
    def is_recovery(self) -> bool:
        return not self.report.failing and self.report.kind is ReportKind.RECOVERED

    @property
    def members(self) -> tuple[IncidentMember, ...]:
        """The members that the message is about, of which the first is described."""
        return self.report.new or self.report.failing or self.report.recovered

    @property
    def single(self) -> IncidentMember | None:
        """The member that the message is about, if it is only one."""
        named = self.report.recovered if self.is_recovery else self.report.failing
        return named[0] if len(named) == 1 else None

    def zone(self, member: IncidentMember) -> tzinfo:
        """The time zone of a deployment; UTC if a text is about several."""
        return UTC if self.single is None else self.facts.zones.get(member.subject, UTC)


def build_message(
    report: Report, facts: Facts, *, message_id: str, now: datetime, public_url: str | None = None
) -> Message:
    """Return the message for a report, to be sent at once. `public_url` is the address of the dashboard."""
    context = _Context(report=report, facts=facts, public_url=public_url, now=now)
    single = context.single
    first = context.members[0]
    state = _state(report, first)
    title = _title(context)
    reason = _reason(context, first)
    deployment = None if single is None or not _is_deployment(single) else single.subject
    run_id = None if single is None else single.run_id
    body = "\n".join(line for line in _lines(context, convert_times(reason, context.zone(first))) if line)
    return Message(
        id=message_id,
        channel=report.channel,
        state=state,
        title=title,
        body=body,
        created_at=now,
        not_before=now,
        deployment=deployment,
        run_id=run_id,
        reason=reason,
        payload={"url": _url(context), **_details(context, first)},
        incident_id=report.incident.id,
    )


def _state(report: Report, first: IncidentMember) -> str:
    if report.kind is ReportKind.RECOVERED:
        return Trouble.RECOVERED.value
    return "flapping" if report.kind is ReportKind.FLAPPING else first.trouble.value


def _title(context: _Context) -> str:
    report = context.report
    if context.is_recovery:
        return _recovery_title(context)
    if report.kind is ReportKind.FLAPPING:
        return f"{_names(report.failing, most=1)} {'is' if len(report.failing) == 1 else 'are'} flapping"
    if report.kind is ReportKind.SETTLED:
        return f"{_names(report.failing, most=1)} {'keeps' if len(report.failing) == 1 else 'keep'} failing"
    if report.kind is ReportKind.CHANGED and not report.new:
        recovered = len(report.recovered)
        return f"{recovered} of {format_count(recovered + len(report.failing), 'deployment')} recovered"
    return failing_title(report.new or report.failing, is_more=report.kind is ReportKind.CHANGED)


def _recovery_title(context: _Context) -> str:
    recovered = context.report.recovered
    deleted = [each for each in recovered if _is_deployment(each) and each.subject not in context.facts.entries]
    if len(recovered) == 1 and context.report.moved:
        return f"{recovered[0].subject} now fails for another reason"
    if len(deleted) == len(recovered) and recovered[0].trouble is not Trouble.WITHHELD:
        return f"{_names(recovered, most=1)} {'was' if len(recovered) == 1 else 'were'} deleted"
    if all(_is_withdrawn(member) for member in recovered):
        return f"{_names(recovered, most=1)} {'is' if len(recovered) == 1 else 'are'} no longer expected to run"
    return recovered_title(recovered)


def _is_withdrawn(member: IncidentMember) -> bool:
    return member.reason == WITHDRAWN


def _lines(context: _Context, reason: str) -> Iterator[str]:
    """Yield the lines of the body; empty ones are left out."""
    report, first = context.report, context.members[0]
    if context.is_recovery:
        yield from _recovery_lines(context, reason)
    else:
        yield reason
        yield from _flapping_lines(report)
        yield _duration_line(context, first)
        yield _names_line(report)
        yield from _change_lines(context, first)
    yield _url(context) or ""
    yield _command(context)


def _recovery_lines(context: _Context, reason: str) -> Iterator[str]:
    report = context.report
    start = min(member.since for member in report.recovered)
    failures = sum(member.failures for member in report.recovered if member.trouble in RUN_TROUBLES)
    lasted = format_span(report.at - start)
    if report.incident.trouble in RUN_TROUBLES:
        yield (
            f"It failed for {lasted}, {_times(failures)}."
            if context.single
            else (f"They failed for {lasted}, {_times(failures)} in total.")
        )
    else:
        yield f"It lasted {lasted}, since {format_time(start, context.zone(report.recovered[0]))}."
    if not context.single:
        yield _names(report.recovered, most=MAX_NAMED)
    if all(_is_withdrawn(member) for member in report.recovered):
        yield f"{WITHDRAWN}."
    elif reason and report.incident.trouble not in (Trouble.WITHHELD, Trouble.INVALID):
        yield f"The last reason was: {reason}"
    if report.moved and not context.single:
        yield f"{format_count(len(report.moved), 'deployment')} of them now fail for another reason."


def _flapping_lines(report: Report) -> Iterator[str]:
    if report.kind is ReportKind.FLAPPING:
        yield (
            f"This is the third failure within {format_span(WINDOW)}. "
            f"The next message follows when nothing has failed or recovered for {format_span(report.calm)}."
        )
    elif report.kind is ReportKind.SETTLED:
        yield f"Nothing has recovered for {format_span(report.calm)}."


def _duration_line(context: _Context, member: IncidentMember) -> str:
    if context.single is None:
        start = min(each.since for each in context.report.failing)
        return f"Since {format_time(start, UTC)}."
    times = f", {_times(member.failures)} in a row" if member.failures > 1 else ""
    return f"Since {format_time(member.since, context.zone(member))}{times}."


def _names_line(report: Report) -> str:
    if report.kind is not ReportKind.CHANGED:
        return _names(report.failing, most=MAX_NAMED) if len(report.failing) > 1 else ""
    parts = []
    if report.new:
        parts.append(f"New: {_names(report.new, most=MAX_NAMED)}; {len(report.failing)} in total.")
    if report.recovered:
        parts.append(f"Recovered: {_names(report.recovered, most=MAX_NAMED)}.")
    if report.recovered and not report.new:
        parts.append(f"Still failing: {_names(report.failing, most=MAX_NAMED)}.")
    return "\n".join(parts)


def _change_lines(context: _Context, member: IncidentMember) -> Iterator[str]:
    """Yield when a deployment last worked, and who changed what since."""
    run = context.facts.runs.get(member.run_id or "")
    if context.facts.head is not None and member.trouble in (Trouble.INVALID, Trouble.WITHHELD):
        yield f"Last commit by {_describe_commit(context.facts.head)}"
    if member.trouble not in RUN_TROUBLES or run is None:
        return
    success = context.facts.last_successes.get(run.id)
    name = "" if context.single is not None else f" of {member.subject}"
    if success is None:
        yield f"No earlier run{name} succeeded."
        if run.id in context.facts.run_commits:
            yield f"Last commit by {_describe_commit(context.facts.run_commits[run.id])}"
        return
    at = success.finished_at or success.created_at
    yield f"Last success{name}: {format_time(at, context.zone(member))}."
    if success.revision == run.revision:
        yield "The repository has not changed since."
    elif (changes := context.facts.changes.get(run.id)) is not None and changes.commits:
        yield _describe_changes(changes)


def _describe_changes(changes: Changes) -> str:
    own, more = (changes.own or changes.commits)[0], len(changes.commits) - 1
    verb = "Changed since by" if changes.own else "Last commit since, by"
    others = f" (and {format_count(more, 'other commit')})" if more else ""
    return f"{verb} {_describe_commit(own)}{others}"


def _describe_commit(commit: Commit) -> str:
    return f"{commit.author}: {commit.subject} [{commit.sha[:_SHA]}]"


def _reason(context: _Context, member: IncidentMember) -> str:
    if context.single is None and not context.is_recovery:
        text = context.report.incident.cause
    else:
        text = without_consequences(member.reason)
    return shorten(text, _MAX_REASON)


def _names(members: Sequence[IncidentMember], *, most: int) -> str:
    names = [member.subject for member in members]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _is_deployment(member: IncidentMember) -> bool:
    return member.subject not in (SOURCE_SUBJECT, CONTROLLER_SUBJECT)


def _url(context: _Context) -> str | None:
    if context.public_url is None:
        return None
    single = context.single
    path = "notifications"
    if single is not None and single.run_id is not None:
        path = f"runs/{quote(single.run_id, safe='')}"
    elif single is not None:
        path = f"deployments/{quote(single.subject, safe='')}" if _is_deployment(single) else ""
    return f"{context.public_url.rstrip('/')}/{path}"


def _command(context: _Context) -> str:
    single = context.single
    if single is None or not _is_deployment(single) or single.trouble in (Trouble.WITHHELD, Trouble.INVALID):
        return "controller status"
    if single.run_id is not None:
        return f"controller runs show {single.run_id}"
    return f"controller deployments show {single.subject}"


def _details(context: _Context, first: IncidentMember) -> dict[str, Any]:
    """Return the part of the JSON that has no other place in a message."""
    report, facts = context.report, context.facts
    run = facts.runs.get(first.run_id or "")
    success = facts.last_successes.get(first.run_id or "")
    changes = facts.changes.get(first.run_id or "", Changes())
    commit = facts.run_commits.get(first.run_id or "", facts.head)
    listed = report.recovered if context.is_recovery else report.failing
    return {
        "trouble": first.trouble.value,
        "since": _json_time(min(member.since for member in listed)),
        "failures": first.failures,
        "command": _command(context),
        "due_time": None if run is None else _json_time(run.scheduled_for),
        "attempt": None if run is None else run.attempt,
        "started_at": None if run is None else _json_time(run.started_at),
        "finished_at": None if run is None else _json_time(run.finished_at),
        "revision": None if run is None else run.revision,
        "commit": None if commit is None else _json_commit(commit),
        "last_success_at": None if success is None else _json_time(success.finished_at),
        "commits": [_json_commit(commit) for commit in (changes.own or changes.commits)[:MAX_NAMED]],
        "deployment_count": len(listed),
        "deployments": [_json_member(member) for member in listed[:MAX_LISTED]],
    }


def _json_member(member: IncidentMember) -> Mapping[str, Any]:
    return {
        "name": member.subject,
        "trouble": member.trouble.value,
        "since": _json_time(member.since),
        "failures": member.failures,
        "run_id": member.run_id,
        "reason": shorten(member.reason, _MAX_REASON),
    }


def _json_commit(commit: Commit) -> Mapping[str, str]:
    return {"sha": commit.sha, "author": commit.author, "subject": commit.subject}


def _json_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
