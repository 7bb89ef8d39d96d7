"""Renders the two lines at the top of the live view: the state of the controller, what runs, and what is due next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import fit_text, join_parts, spread, styled
from controller.cli.live_view.values import (
    BAD,
    BUSY,
    DIM,
    GOOD,
    WARN,
    age,
    plain,
    short_revision,
    sparkline,
)
from controller.text import join_and

_MARKED = ("InvalidManifest", "PruneWithheld")
"""The reasons that the numbers of invalid and withheld deployments explain."""
_TRIGGERS = {"event": "other deployments", "file": "new files", "webhook": "webhooks"}
_GAP = "   "
_NARROW = 6
_WIDE = 100
_SLOTS = 12
"""The number of blocks of the sparkline."""


def status_line(summary: Mapping[str, Any] | None, problem: str | None, now: datetime, width: int) -> Text:
    """Return the version, the state, the repository, and who committed what is applied, and when.

    `problem` says why the controller can't be reached; None if it can.
    """
    clock = styled(now.astimezone().strftime("%H:%M:%S"), DIM)
    if summary is None:
        return spread(Text("controller ") + styled(problem or "connecting …", WARN), clock, width)
    right = join_parts([*_marks(summary, is_short=width < _WIDE), clock], width, " ")
    version = summary["controller"]["version"]
    left = styled("controller", "bold") + Text(f" {version} " if version and width >= _WIDE else " ")
    if problem is not None:
        return spread(left + styled(f"○ {problem}", WARN), right, width)
    left += _state(summary) + Text(" ")
    place = plain(_repository_name(summary["repo"])) + Text(" ") + plain(short_revision(summary["revision"]), "bold")
    if summary["environment"]:
        place += plain(f" [{summary['environment']}]")
    left += place
    commit = summary["commit"]
    if commit is not None:
        left += _commit(commit, now, width - left.cell_len - right.cell_len - 2)
    return spread(left, right, width)


def activity_line(
    summary: Mapping[str, Any] | None, activity: Sequence[Mapping[str, Any]], now: datetime, width: int
) -> Text:
    """Return the numbers of running, waiting and failed runs, and what is due next."""
    if summary is None:
        return Text()
    waiting = summary["pending"] + summary["retrying"]
    finished = sum(slot["succeeded"] + slot["failed"] for slot in activity)
    failed = sum(slot["failed"] for slot in activity)
    parts = [
        styled(f"running {summary['running']}", BUSY if summary["running"] else ""),
        styled(f"waiting {waiting}", WARN if waiting else ""),
        Text("failed 24h ") + styled(f"{failed}/{finished}", BAD if failed else GOOD),
    ]
    bars = sparkline(_merge([slot["failed"] for slot in activity], _SLOTS))
    if failed:
        parts[-1] += Text(" ") + styled(bars, "red")
    line = join_parts(parts, width)
    room = width - line.cell_len - len(_GAP)
    return line + Text(_GAP) + fit_text(_next(summary, now, room), max(0, room))


def _state(summary: Mapping[str, Any]) -> Text:
    conditions = [condition for condition in summary["conditions"] if condition["reason"] not in _MARKED]
    stalled = [
        condition for condition in conditions if condition["type"] == "Stalled" and condition["status"] == "True"
    ]
    ready = [condition for condition in conditions if condition["type"] == "Ready"]
    if stalled:
        return plain(f"✕ {stalled[0]['reason']}", BAD)
    if ready and ready[0]["status"] != "True":
        return plain(f"! {ready[0]['reason']}", BAD if ready[0]["status"] == "False" else WARN)
    return styled("●", GOOD if summary["controller"]["running"] else DIM)


def _commit(commit: Mapping[str, Any], now: datetime, width: int) -> Text:
    """Return the subject, the author and the age of a commit; the subject is shortened first."""
    author, since = plain(commit["author"]), Text(f" {age(commit['author_date'], now)}")
    subject = plain(commit["subject"])
    both = width - since.cell_len - len(' "" ')
    author.truncate(max(_NARROW, both // 3, both - subject.cell_len), overflow="ellipsis")
    room = both - author.cell_len
    if room < _NARROW:
        author.truncate(max(0, width - since.cell_len - 1), overflow="ellipsis")
        return Text(" ") + author + since
    subject.truncate(room, overflow="ellipsis")
    return Text(' "') + subject + Text('" ') + author + since


def _marks(summary: Mapping[str, Any], *, is_short: bool) -> list[Text]:
    """Return the numbers of invalid and withheld deployments, without words on a narrow screen."""
    marks = []
    if summary["invalid"]:
        marks.append(styled(f"✕{summary['invalid']}" + ("" if is_short else " invalid"), BAD))
    if summary["withheld"]:
        marks.append(styled(f"!{summary['withheld']}" + ("" if is_short else " withheld"), WARN))
    return marks


def _next(summary: Mapping[str, Any], now: datetime, width: int) -> Text:
    """Return what fires next, and if there is space, also what fires after the next minute."""
    first, later, soon = summary["next_fire"], summary["later_fire"], summary["due_soon"]
    if first is None:
        causes = [_TRIGGERS[kind] for kind in summary["triggers"]]
        starts = f"{join_and(causes)} start runs" if causes else ""
        text = f"nothing is due; {starts}" if starts else "nothing is due"
        return styled(text if len(text) <= width or not starts else starts, DIM)
    text = f"next {soon} within 1m" if soon > 1 else f"next {first['deployment']} in {age(first['fire_time'], now)}"
    more = "" if later is None or not soon else f", {later['deployment']} in {age(later['fire_time'], now)}"
    return plain(text + more if len(text + more) <= width else text)


def _repository_name(repo: str) -> str:
    return PurePath(repo.rstrip("/")).name.removesuffix(".git") or repo


def _merge(counts: Sequence[int], number: int) -> list[int]:
    """Return sums of neighbouring counts, at most `number`."""
    size = max(1, -(-len(counts) // number))
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]
