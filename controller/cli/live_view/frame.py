"""Renders the live view: exactly as many lines as the screen has, none of them wider than the screen."""

from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap

from rich.text import Text

from controller.cli.live_view.cells import choose_widths, fit, fit_text, join_parts, spread, styled, table_line
from controller.cli.live_view.head import activity_line, status_line
from controller.cli.live_view.listing import Item, Listing
from controller.cli.live_view.pages import HelpPage, Names, WithheldPage
from controller.cli.live_view.tabs import Git, Problems
from controller.cli.live_view.values import DIM, WARN, age, plain, run_progress, run_state, waiting_line
from controller.cli.live_view.view import View
from controller.text import visible

_MARK = "> "
_RUN_KEYS = (("r", " run"), ("c", " cancel"))
_BAR = 8
_NAME = 24


def render_frame(view: View) -> list[Text]:
    """Return the lines of the whole screen."""
    now, width = view.clock.now(), view.width
    lines = [
        status_line(view.summary, view.problem, now, width),
        activity_line(view.summary, view.activity, now, width),
        _tab_line(view),
    ]
    lines += _content(view, now)
    lines = lines[: max(0, view.height - 1)]
    lines += [Text()] * (view.height - 1 - len(lines))
    return [fit_text(line, width) for line in [*lines, _key_line(view)]][: view.height]


def _tab_line(view: View) -> Text:
    if view.pages:
        trail = " / ".join([view.tabs[view.tab].title, *[page.title for page in view.pages]])
        return spread(plain(fit(trail, view.width - 9), "bold"), styled("Esc back", DIM), view.width)
    counts: dict[str, int | None] = {}
    if view.summary is not None:
        counts = {
            "Problems": view.summary["attention"],
            "Running": view.summary["running"],
            "Deployments": view.summary["deployments"],
        }
    for gap, has_counts, has_titles in (("  ", True, True), (" ", True, True), (" ", False, True), (" ", True, False)):
        line = Text()
        for number, tab in enumerate(view.tabs):
            count = counts.get(tab.title) if has_counts else None
            label = f"[{number + 1}]" + (tab.title if has_titles or number == view.tab else "")
            label += f" {count}" if count is not None else ""
            line.append(gap if number else "")
            line.append(label, style="bold reverse" if number == view.tab else "")
        if line.cell_len <= view.width:
            break
    return fit_text(line, view.width)


def _content(view: View, now: datetime) -> list[Text]:
    page, listing = view.page, view.listing
    lines = [] if page is None else page.head(view.width, now)
    if listing is not None:
        lines += _table(listing, view.rows, view.width, now, has_note=page is None)
    elif page is not None:
        lines += page.body(view.width, max(1, view.height - 4 - len(lines)))
    if view.pinned:
        title = f"now, and {view.unpinned} more in [2]" if view.unpinned else "now"
        lines += [_rule(title, view.width), *[_pinned_line(item, now, view.width) for item in view.pinned]]
    return lines


def _table(listing: Listing, height: int, width: int, now: datetime, *, has_note: bool) -> list[Text]:
    """Return the titles and exactly `height` rows."""
    items = [listing.item(index) for index in range(listing.top, listing.top + height)]
    whole = {index: listing.line(item, now) for index, item in enumerate(items) if item is not None}
    cells = [listing.cells(item, now) for index, item in enumerate(items) if item is not None and whole[index] is None]
    room = width - len(_MARK)
    layout = choose_widths(listing.columns, cells, room)
    titles = [Text(column.title) for column in listing.columns]
    header = Text(" " * len(_MARK)) + table_line(listing.columns, titles, layout, room)
    header.stylize("bold")
    if listing.filter and has_note:
        note = styled(f"filter: {listing.filter}", WARN)
        header = spread(header, note, width)
    if not whole:
        text = listing.empty if listing.is_loaded else "loading …"
        return [header, styled(f"  {text}", DIM), *[Text()] * (height - 1)]
    lines, rows = [header], iter(cells)
    for index, item in enumerate(items, start=listing.top):
        if item is None:
            lines.append(styled("  …" if index < listing.end else "", DIM))
            continue
        is_selected = index == listing.selected
        line = Text(_MARK if is_selected else " " * len(_MARK))
        own_line = whole[index - listing.top]
        line += table_line(listing.columns, next(rows), layout, room) if own_line is None else fit_text(own_line, room)
        if is_selected:
            line = styled(line.plain + " " * (width - line.cell_len), "reverse")
        lines.append(line)
    text_lines = _whole_text(listing, lines, width)
    return lines[: len(lines) - len(text_lines)] + text_lines


def _whole_text(listing: Listing, lines: Sequence[Text], width: int) -> list[Text]:
    """Return the whole reason or message of the selected row, if its row cuts it and the list leaves room."""
    item = listing.item(listing.selected)
    text = None if item is None else listing.target(item).text
    if not text or " " not in text or any(" ".join(visible(text).split()) in line.plain for line in lines):
        return []
    free = len(lines) - 1 - (listing.end - listing.top)
    parts = wrap(visible(text), max(1, width - 2 * len(_MARK)), break_on_hyphens=False)[: max(0, free - 1)]
    return [Text(), *[Text(" " * len(_MARK)) + plain(part) for part in parts]] if parts else []


def _pinned_line(item: Item, now: datetime, width: int) -> Text:
    """Return a running run with its progress, or what a group of runs waits for."""
    if "text" in item:
        return fit_text(Text("  ") + waiting_line(item, now), width)
    name = plain(fit(item["deployment"], _NAME))
    name.pad_right(max(0, _NAME - name.cell_len))
    since = Text(f"{age(item['started_at'], now):7}")
    parts = [
        name,
        run_state(item["state"]),
        since,
        run_progress(item, now, _BAR),
        plain(item["current_task"] or "", DIM),
    ]
    return join_parts([Text("  ") + parts[0], *[part for part in parts[1:] if part]], width, "  ")


def _rule(title: str, width: int) -> Text:
    return styled(f"── {title} " + "─" * max(0, width - len(title) - 4), DIM)


def _key_line(view: View) -> Text:
    width = view.width
    if view.prompt is not None:
        label, value = view.prompt.label, view.prompt.value
        room = max(1, width - len(label) - 1)
        shown = plain(value[-room:])
        cursor = Text() if view.prompt.choices else styled(" ", "reverse")
        return fit_text(plain(label, "bold yellow") + shown + cursor, width)
    if view.message is not None:
        return plain(fit(view.message, width), WARN)
    keys = join_parts([_key(name, text) for name, text in _keys_of(view)], 1000, " ")
    help_key, quit_key = _key("?", " help"), _key("q", " quit")
    end = help_key + Text(" ") + quit_key
    return spread(keys, end if keys.cell_len + end.cell_len < width else help_key, width)


def _keys_of(view: View) -> Sequence[tuple[str, str]]:
    """Return the keys that are useful here, with what they do."""
    listing, page = view.listing, view.page
    if isinstance(page, HelpPage):
        return ()
    if listing is None:
        return (
            ("/", "search"),
            ("n", " next"),
            ("l", " log"),
            ("t", " tasks"),
            *_RUN_KEYS,
            ("d", " diff"),
            ("y", " copy"),
        )
    keys = [("/", "filter"), ("s", " sort"), ("⏎", " open")] if listing.orders else [("/", "filter"), ("⏎", " open")]
    if isinstance(listing, Git | Names):
        keys += [("a", " approve")] if isinstance(page, WithheldPage) else []
        return [*keys, ("y", " copy")]
    keys += [("l", " log"), *_RUN_KEYS, ("h", " hold")]
    if isinstance(listing, Problems) and view.summary is not None and view.summary["withheld"]:
        keys.append(("a", " approve"))
    return [*keys, ("d", " diff"), ("y", " copy")]


def _key(name: str, text: str) -> Text:
    return styled(name, "bold") + styled(text, DIM)
