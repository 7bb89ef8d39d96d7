"""What is wrong with when a deployment runs. See `entry` for the form; docs/findings.md says the same."""

from controller.model.findings import Severity
from controller.reports.explained.entry import NIGHTLY, Explanation

SCHEDULES = (
    Explanation(
        code="InvalidSchedule",
        summary="a schedule that can't be understood, or never fires",
        meaning="The expression can't be understood, or it never fires.",
        remedy="The hint says what the field takes.",
        wrong=NIGHTLY + 'schedule: {cron: "0 0 30 2 *"}\n',
        right=NIGHTLY + 'schedule: {cron: "0 0 28 2 *"}\n',
    ),
    Explanation(
        code="InvalidDuration",
        summary="no usable length of time",
        meaning="It is no length of time between nothing and ten years.",
        remedy="Write seconds, `90s`, `15m`, `1h30m`, `2d`, `PT15M` or `01:30:00`. A `jitter` has at most one day.",
        wrong=NIGHTLY + "schedule: {interval: 15 minutes}\n",
        right=NIGHTLY + "schedule: {interval: 15m}\n",
    ),
    Explanation(
        code="InvalidTime",
        summary="no usable date or date-time",
        meaning="It is no date or date-time.",
        remedy="Write `2026-01-31`, `2026-01-31T09:00` or `2026-01-31T09:00:00+02:00`.",
        wrong="name: once\nflow: flows/etl.py:main\nschedule: {at: tomorrow}\n",
        right='name: once\nflow: flows/etl.py:main\nschedule: {at: "2031-01-31T09:00"}\n',
    ),
    Explanation(
        code="InvalidTimezone",
        summary="an unknown time zone",
        meaning="The IANA time zone database has no such zone.",
        remedy="The hint names near ones.",
        wrong=NIGHTLY + 'schedule: {cron: "0 9 * * *", timezone: Europe/Berln}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}\n',
    ),
    Explanation(
        code="DuplicateScheduleId",
        summary="two schedules with the same id",
        meaning="Two schedules of one deployment have the same id, or say the same.",
        remedy="Give each its own `id`, or remove one.",
        wrong=NIGHTLY + "schedules:\n  - interval: 1h\n  - interval: 1h\n",
        right=NIGHTLY + "schedules:\n  - interval: 1h\n",
    ),
    Explanation(
        code="ClockChange",
        summary="a fixed time meets a change of the clocks",
        severity=Severity.WARNING,
        meaning="A warning: within the next 12 months the schedule has a local time that does not exist on the day "
        "when clocks go forward, or exists twice on the day when they go back. The message names the dates, and what "
        "becomes of them.",
        remedy="Choose a time that no clock change meets, such as 04:30, or declare under `dst` what is meant: `gap` "
        "for a time that does not exist, `repeat` for one that exists twice.",
        wrong=NIGHTLY + 'schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}\n',
        right=NIGHTLY + 'schedule: {cron: "30 4 * * *", timezone: Europe/Berlin}\n',
    ),
)
