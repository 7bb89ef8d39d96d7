"""Codes whose checks are coming. When a check arrives, its code moves to its part, and to docs/findings.md."""

from controller.model.findings import Severity
from controller.reports.explained.entry import NIGHTLY, Explanation

_TIMES = (
    Explanation(
        code="ClockChange",
        summary="a fixed time meets a change of the clocks",
        severity=Severity.WARNING,
        meaning="A warning: within the next 12 months the schedule has a local time that does not exist on the day "
        "when clocks go forward, or exists twice on the day when they go back. The message names the dates, and what "
        "`dst` makes of them.",
        remedy="Choose a time between 04:00 and 22:00, or say under `dst` what you want.",
        wrong=NIGHTLY + 'schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}\n',
        right=NIGHTLY + 'schedule: {cron: "30 4 * * *", timezone: Europe/Berlin}\n',
    ),
    Explanation(
        code="ScheduleEnds",
        summary="a schedule that comes to an end",
        severity=Severity.WARNING,
        meaning="A warning: the schedule has a last fire time, which the message names. After it nothing is started.",
        remedy="If that is meant, leave it. Otherwise remove what ends it: `end`, `COUNT` or `UNTIL`.",
        wrong=NIGHTLY + 'schedule: {at: "2031-01-31T09:00"}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 31 1 *"}\n',
    ),
)

_OTHERS = (
    Explanation(
        code="RenamedFromUnknown",
        summary="`renamed_from` points at nothing",
        meaning="No deployment has, or ever had, the name that `renamed_from` says: there is no history to move.",
        remedy="Correct the name, or remove `renamed_from`.",
        wrong="name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly-sails\n",
        right="name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n",
    ),
)

COMING: tuple[Explanation, ...] = (*_TIMES, *_OTHERS)
