"""What is wrong with when a deployment runs. See `entry` for the form; docs/findings.md says the same."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

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
    Explanation(
        code="ScheduleEnded",
        summary="a schedule that does not fire any more",
        severity=Severity.WARNING,
        meaning="A warning: every time of the schedule has passed. Its `at`, its `end`, or the `UNTIL` "
        "or `COUNT` of its rule is over, so it starts nothing any more.",
        remedy="Remove it, or give it a time that is still to come.",
        wrong=NIGHTLY + 'schedule: {at: "2020-01-31T09:00"}\n',
        right=NIGHTLY + 'schedule: {at: "2031-01-31T09:00"}\n',
    ),
    Explanation(
        code="ShadowedSchedule",
        summary="a schedule that never counts",
        severity=Severity.WARNING,
        meaning="A warning: the schedule only fires when another one of the same deployment does, and "
        "that one takes precedence: `at` before `rrule` before `cron` before `interval`. Of two of "
        "one kind, one with `parameters` of its own comes first, then the one declared first. One "
        "run starts at that time, with the parameters of the other schedule.",
        remedy="Remove the schedule, or give it other times.",
        wrong=NIGHTLY + 'schedules:\n  - interval: 1h\n  - cron: "0 * * * *"\n',
        right=NIGHTLY + 'schedules:\n  - interval: 10m\n  - cron: "0 9 * * *"\n',
    ),
    Explanation(
        code="UnevenSteps",
        summary="a step that does not divide its field",
        severity=Severity.WARNING,
        meaning="A warning: a step such as `*/7` starts anew with every hour, day, month or year. Where "
        "it does not divide the field evenly, the last gap is shorter than the others.",
        remedy="Use `interval` for even spacing, or list the values to say that they are meant.",
        wrong=NIGHTLY + 'schedule: {cron: "*/7 * * * *"}\n',
        right=NIGHTLY + "schedule: {interval: 7m}\n",
    ),
    Explanation(
        code="StepBeyondField",
        summary="a step that is longer than its field",
        severity=Severity.WARNING,
        meaning="A warning: the step of a cron field leads beyond the last value of the field, so that "
        "only the first one is named: `*/70` is minute 0, once an hour.",
        remedy="Use `interval`, or write the one value.",
        wrong=NIGHTLY + 'schedule: {cron: "*/70 * * * *"}\n',
        right=NIGHTLY + "schedule: {interval: 70m}\n",
    ),
    Explanation(
        code="AmbiguousSchedule",
        summary="other programs read the schedule differently",
        severity=Severity.WARNING,
        meaning="A warning: other programs refuse a part of the schedule or read it differently, or it "
        "has no effect: a step on `L`, `BYHOUR` beside a `DTSTART` that is a date, an `UNTIL` in "
        "local time beside a `TZID`, a time zone such as `EST` that has no summer time. The "
        "message says how it is read.",
        remedy="Write what the hint says.",
        wrong=NIGHTLY + 'schedule: {cron: "0 9 L/2 * *"}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 L * *"}\n',
    ),
)
