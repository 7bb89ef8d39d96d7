"""The page of a run in the live view: why it ended as it did, its tasks, and its log, which it follows."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import fit, fit_text, styled
from controller.cli.live_view.listing import Target
from controller.cli.live_view.pages import Page
from controller.cli.live_view.values import (
    BAD,
    DIM,
    WARN,
    age,
    clock_time,
    parse,
    plain,
    run_state,
    short_commit,
    short_span,
)
from controller.client import Client
from controller.records import dataclass
from controller.text import visible

_TAIL = 5000
"""The number of lines of a log that are loaded first."""
_MOST_LINES = 20_000
_BYTES = 1 << 20
_MOST_TASKS = 5
_MOST_REASON = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    run: Mapping[str, Any]
    text: str
    begin: int
    end: int


class RunPage(Page):
    """A run. `l` shows its log on the whole screen, `t` its tasks, `/` searches."""

    def __init__(self, run_id: str, *, is_log: bool = False) -> None:
        super().__init__(f"run {run_id[-12:]}")
        self.run_id = run_id
        self.run: Mapping[str, Any] | None = None
        self._is_full, self._shows_tasks = is_log, False
        self._lines: list[str] = []
        self._rest = ""
        self._begin, self._end = 0, -1
        self._top = 0
        self._is_following = True
        self._match: int | None = None
        self._text = ""
        self._height = 1

    def load(self, client: Client) -> Any:
        """Load the run, and the part of its log that is not shown yet."""
        run = client.run(self.run_id)
        end = self._end
        part = (
            client.log_part(self.run_id, tail=_TAIL, limit=_BYTES)
            if end < 0
            else client.log_part(self.run_id, offset=end, limit=_BYTES)
        )
        return _Loaded(run=run, text=part["text"], begin=part["offset"], end=part["next_offset"])

    def update(self, data: Any) -> None:
        """Show the run, and append to its log."""
        self.run = data.run
        self.is_changing = data.run["finished_at"] is None or bool(data.text)
        if self._end < 0:
            self._begin = data.begin
        elif data.begin != self._end:
            return  # an older answer
        self._end = data.end
        *lines, self._rest = (self._rest + data.text).split("\n")
        self._lines += lines
        excess = len(self._lines) - _MOST_LINES
        if excess > 0:
            del self._lines[:excess]
            self._top = max(0, self._top - excess)
            self._begin = max(1, self._begin)

    @property
    def target(self) -> Target:
        """The run and its deployment."""
        if self.run is None:
            return Target(run_id=self.run_id)
        return Target(run_id=self.run_id, deployment=self.run["deployment"], text=self.run["reason"])

    def head(self, width: int, now: datetime) -> list[Text]:
        """Return the state, the reason, the commit, and the most important tasks."""
        if self.run is None:
            return [styled("loading …", DIM)]
        title = "tasks" if self._shows_tasks else "log"
        rule = self._rule(title, width)
        state = plain(self.run["deployment"], "bold") + Text("  ") + run_state(self.run["state"])
        if self.run["uncertain_reason"] is not None:
            state += plain(f" (unknown: {self.run['uncertain_reason']})", WARN)
        lines = [state + Text(f"  {self._times(now)}")]
        if self._is_full:
            return [fit_text(lines[0], width), rule]
        reason = (self.run["reason"] or "").strip().splitlines()
        lines += [plain(fit(line, width), BAD) for line in reason[:_MOST_REASON]]
        if self.run["waiting"] is not None:
            until = clock_time(self.run["waits_until"], now, self.run["timezone"])
            limit = "" if self.run["waits_until"] is None else f"; skipped if it still waits at {until}"
            lines.append(plain(f"waiting: {self.run['waiting']}{limit}"))
        commit = self.run["commit"]
        if commit is not None:
            lines.append(styled("commit ", DIM) + short_commit(commit, now))
        if not self._shows_tasks:
            lines += _important_tasks(self.run["tasks"], now)
        return [*[fit_text(line, width) for line in lines], rule]

    def body(self, width: int, height: int) -> list[Text]:
        """Return the visible part of the log or of the tasks."""
        lines = self._content()
        self._height = max(1, height)
        if self._is_following:
            self._top = max(0, len(lines) - height)
        self._top = max(0, min(self._top, max(0, len(lines) - 1)))
        shown = lines[self._top : self._top + height]
        return [self._styled(self._top + index, line, width) for index, line in enumerate(shown)]

    def press(self, key: str, height: int) -> bool:  # noqa: ARG002
        """Scroll, switch between log and tasks, or go to another match."""
        page = self._height
        distances = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": 1 - page, "pagedown": page - 1}
        if key in distances:
            self._scroll(self._top + distances[key])
        elif key in ("g", "home"):
            self._scroll(0)
        elif key in ("G", "end"):
            self._is_following = True
        elif key == "l":
            self._is_full, self._shows_tasks, self._is_following = not self._is_full or self._shows_tasks, False, True
        elif key == "t":
            self._shows_tasks = not self._shows_tasks
            self._scroll(0)
            self._is_following = not self._shows_tasks
        elif key in ("n", "N"):
            self._go_to_match(backwards=key == "N")
        else:
            return False
        return True

    def search(self, text: str) -> str | None:
        """Go to the last line that contains the text."""
        self._text, self._match = text, None
        if not text:
            return None
        count = sum(1 for line in self._content() if text.lower() in line.lower())
        self._go_to_match(backwards=True)
        part = " in the loaded end of the log" if self._begin > 0 and not self._shows_tasks else ""
        lines = "1 line matches" if count == 1 else f"{count} lines match"
        return f"{lines}{part}; n and N go to the next and the previous one"

    def _go_to_match(self, *, backwards: bool) -> None:
        if not self._text:
            return
        lines = self._content()
        start = self._match if self._match is not None else (len(lines) if backwards else -1)
        order: Sequence[int] = range(start - 1, -1, -1) if backwards else range(start + 1, len(lines))
        match = next((index for index in order if self._text.lower() in lines[index].lower()), None)
        if match is not None:
            self._match = match
            self._scroll(match - self._height // 2)

    def _scroll(self, top: int) -> None:
        last = max(0, len(self._content()) - self._height)
        self._top = max(0, min(top, last))
        self._is_following = self._top == last and self._match is None

    def _content(self) -> list[str]:
        if self._shows_tasks:
            return [] if self.run is None else list(_task_lines(self.run["tasks"]))
        start = [f"… the log begins earlier: controller runs logs {self.run_id[-12:]}"] if self._begin > 0 else []
        lines = [*start, *self._lines, *([self._rest] if self._rest else [])]
        return lines if lines or self._end < 0 else ["The log is empty."]

    def _styled(self, index: int, line: str, width: int) -> Text:
        text = visible(line) if self._shows_tasks else None
        if text is None:
            shown = Text.from_ansi(line.rstrip("\r"), no_wrap=True)
            shown.plain = visible(shown.plain.expandtabs(4))
        else:
            shown = Text(text)
        if self._text:
            shown.highlight_words([self._text], style="black on yellow", case_sensitive=False)
        if index == self._match:
            shown.stylize("bold")
        return fit_text(shown, width)

    def _rule(self, title: str, width: int) -> Text:
        other = "l log" if self._shows_tasks else "l whole screen  t tasks" if not self._is_full else "l back  t tasks"
        is_live = self.run is not None and self.run["finished_at"] is None
        position = "following" if self._is_following and is_live else ""
        left = f"── {title} {position} ".replace("  ", " ")
        right = f" {other} ──"
        return styled(left + "─" * max(0, width - len(left) - len(right)) + right, DIM)

    def _times(self, now: datetime) -> str:
        assert self.run is not None
        started, finished = parse(self.run["started_at"]), parse(self.run["finished_at"])
        attempt = f", attempt {self.run['attempt']} of {self.run['attempts']}" if self.run["attempts"] > 1 else ""
        if started is None:
            return f"created {age(self.run['created_at'], now)} ago, {self.run['trigger']}{attempt}"
        took = timedelta(seconds=self.run["took"] or 0) if finished else now - started
        when = f"at {clock_time(self.run['started_at'], now, self.run['timezone'])}"
        return f"{when} for {short_span(took)}, {self.run['trigger']}{attempt}"


def _important_tasks(tasks: Sequence[Mapping[str, Any]], now: datetime) -> list[Text]:
    """Return the failed and running tasks first, and how many of all tasks have succeeded."""
    order = {"failed": 0, "timed_out": 0, "crashed": 0, "running": 1, "retrying": 1}
    important = sorted((task for task in tasks if task["state"] in order), key=lambda task: order[task["state"]])
    lines = [_task_line(task, now) for task in important[:_MOST_TASKS]]
    done = sum(task["state"] == "succeeded" for task in tasks)
    if tasks:
        more = f", {len(important) - _MOST_TASKS} more failed or running" if len(important) > _MOST_TASKS else ""
        lines.append(styled(f"{done} of {len(tasks)} tasks succeeded{more}", DIM))
    return lines


def _task_line(task: Mapping[str, Any], now: datetime) -> Text:
    line = run_state(task["state"]) + Text(" ") + plain(task["label"])
    started = parse(task["started_at"])
    if started is not None:
        line += styled(f" {short_span((parse(task['finished_at']) or now) - started)}", DIM)
    return line + plain(f" {task['reason']}" if task["reason"] else "")


def _task_lines(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line per task, indented below its caller."""
    children: dict[int | None, list[Mapping[str, Any]]] = {}
    for task in tasks:
        children.setdefault(task["parent"], []).append(task)

    def below(parent: int | None, depth: int) -> Iterator[str]:
        for task in children.get(parent, []):
            started, finished = parse(task["started_at"]), parse(task["finished_at"])
            took = f" {short_span(finished - started)}" if started and finished else ""
            reason = f"  {task['reason']}" if task["reason"] else ""
            yield f"{'  ' * depth}{run_state(task['state']).plain} {task['label']}{took}{reason}"
            yield from below(task["id"], depth + 1)

    yield from below(None, 0)
