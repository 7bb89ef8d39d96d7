"""Explanations of errors in schedules."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

SCHEDULES = (
    Explanation(
        code="InvalidSchedule",
        summary="a schedule that is invalid or never fires",
        meaning="The expression is invalid, or it never fires. It may also be that its calendars and windows leave out "
        "all of its due times.",
        remedy="Correct the expression, the calendars or the windows; the hint describes the valid values. A schedule "
        'that is only a string must be a cron expression, such as `"0 2 * * *"` or `"@daily"`, or an interval with a '
        "unit, such as `15m`.",
        wrong=NIGHTLY + 'schedule: {cron: "0 0 30 2 *"}\n',
        right=NIGHTLY + 'schedule: {cron: "0 0 28 2 *"}\n',
    ),
    Explanation(
        code="InvalidDuration",
        summary="an invalid duration",
        meaning="The value is not a duration between zero and ten years. Nor is `1M`, because systemd reads it as a "
        "month and others as a minute.",
        remedy="Write a number of seconds, or a duration such as `90s`, `15m`, `1h30m`, `2d`, `PT15M` or `01:30:00`. "
        "The maximum for `jitter` is one day.",
        wrong=NIGHTLY + "schedule: {interval: 15 minutes}\n",
        right=NIGHTLY + "schedule: {interval: 15m}\n",
    ),
    Explanation(
        code="InvalidTime",
        summary="an invalid date or date-time",
        meaning="The value is not a date or date-time.",
        remedy="Write a value such as `2026-01-31`, `2026-01-31T09:00` or `2026-01-31T09:00:00+02:00`.",
        wrong="name: once\nflow: flows/etl.py:main\nschedule: {at: tomorrow}\n",
        right='name: once\nflow: flows/etl.py:main\nschedule: {at: "2031-01-31T09:00"}\n',
    ),
    Explanation(
        code="InvalidTimezone",
        summary="an unknown time zone",
        meaning="The time zone is not in the IANA time zone database.",
        remedy="Correct the name; the hint suggests similar ones.",
        wrong=NIGHTLY + 'schedule: {cron: "0 9 * * *", timezone: Europe/Berln}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 * * *", timezone: Europe/Berlin}\n',
    ),
    Explanation(
        code="DuplicateScheduleId",
        summary="two schedules with the same id",
        meaning="Two schedules of a deployment have the same id or are identical.",
        remedy="Give each schedule its own `id`, or remove one of them.",
        wrong=NIGHTLY + "schedules:\n  - interval: 1h\n  - interval: 1h\n",
        right=NIGHTLY + "schedules:\n  - interval: 1h\n",
    ),
    Explanation(
        code="UnknownCalendar",
        summary="a calendar that is not declared",
        meaning="`except`, `only` or `calendar` of a schedule names a calendar that is declared neither in "
        "controller.yaml nor in the document.",
        remedy="Correct the name, or declare the calendar under `calendars` in controller.yaml.",
        wrong=NIGHTLY + 'schedule: {cron: "0 9 * * *", except: de-by}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 * * *", except: de-by}\ncalendars: {de-by: {holidays: DE-BY}}\n',
    ),
    Explanation(
        code="InvalidCalendar",
        summary="an invalid calendar",
        meaning="The holidays are unknown, a date does not exist, a range ends before it begins, or the calendar file "
        "is missing or can't be read. In controller.yaml, this is an error of the whole file.",
        remedy="Correct the calendar as the hint says. `holidays` takes the codes of the `holidays` package.",
        wrong=NIGHTLY + "calendars: {freeze: {dates: [2026-02-30]}}\n",
        right=NIGHTLY + "calendars: {freeze: {dates: [2026-02-28]}}\n",
    ),
    Explanation(
        code="InvalidWindow",
        summary="invalid days or hours of a window",
        meaning="The days or hours in `windows` of a schedule can't be read.",
        remedy='Write days such as `mon-fri` or `[mon, wed]`, and hours such as `"08:00"`.',
        wrong=NIGHTLY + 'schedule: {interval: 1h, windows: [{days: weekdays, from: "08:00"}]}\n',
        right=NIGHTLY + 'schedule: {interval: 1h, windows: [{days: mon-fri, from: "08:00"}]}\n',
    ),
    Explanation(
        code="ClockChange",
        summary="a local time that a clock change skips or repeats",
        severity=Severity.WARNING,
        meaning="A warning: within the next 12 months, the schedule has a local time that does not exist on the day "
        "when clocks go forward, or occurs twice on the day when they go back. The message shows these dates and when "
        "the schedule fires on them.",
        remedy="Choose a time that is not affected by clock changes, such as 04:30, or set the behaviour under `dst`: "
        "`gap` for a time that does not exist, `repeat` for a time that occurs twice.",
        wrong=NIGHTLY + 'schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}\n',
        right=NIGHTLY + 'schedule: {cron: "30 4 * * *", timezone: Europe/Berlin}\n',
    ),
    Explanation(
        code="ScheduleEnded",
        summary="a schedule without future fire times",
        severity=Severity.WARNING,
        meaning="A warning: all fire times of the schedule are in the past, because its `at` or `end`, or the `UNTIL` "
        "or `COUNT` of its rule, has been reached. It starts no more runs.",
        remedy="Remove the schedule, or give it a time in the future.",
        wrong=NIGHTLY + 'schedule: {at: "2020-01-31T09:00"}\n',
        right=NIGHTLY + 'schedule: {at: "2031-01-31T09:00"}\n',
    ),
    Explanation(
        code="ShadowedSchedule",
        summary="a schedule that another one always overrides",
        severity=Severity.WARNING,
        meaning="A warning: the schedule fires only at times when another schedule of the deployment also fires, and "
        "the other one takes precedence: `at` before `rrule` before `cron` before `interval`; between two schedules of "
        "the same kind, the one with its own `parameters`, then the one declared first. One run starts at that time, "
        "with the parameters of the other schedule.",
        remedy="Remove the schedule, or change its times.",
        wrong=NIGHTLY + 'schedules:\n  - interval: 1h\n  - cron: "0 * * * *"\n',
        right=NIGHTLY + 'schedules:\n  - interval: 10m\n  - cron: "0 9 * * *"\n',
    ),
    Explanation(
        code="UnevenSteps",
        summary="a step that does not divide its field",
        severity=Severity.WARNING,
        meaning="A warning: a step such as `*/7` restarts at the beginning of every hour, day, month or year. If it "
        "does not divide the range of the field evenly, the last interval is shorter than the others.",
        remedy="Use `interval` for even spacing, or list the values to show that they are intended.",
        wrong=NIGHTLY + 'schedule: {cron: "*/7 * * * *"}\n',
        right=NIGHTLY + "schedule: {interval: 7m}\n",
    ),
    Explanation(
        code="StepBeyondField",
        summary="a step that is longer than the range of its field",
        severity=Severity.WARNING,
        meaning="A warning: the step of a cron field exceeds the range of the field, so only the first value matches: "
        "`*/70` means minute 0, once an hour.",
        remedy="Use `interval`, or write the single value.",
        wrong=NIGHTLY + 'schedule: {cron: "*/70 * * * *"}\n',
        right=NIGHTLY + "schedule: {interval: 70m}\n",
    ),
    Explanation(
        code="AmbiguousSchedule",
        summary="other programs interpret the schedule differently",
        severity=Severity.WARNING,
        meaning="A warning: other programs reject a part of the schedule or interpret it differently, or it has no "
        "effect. Examples are a step on `L`, `BYHOUR` with a `DTSTART` that is a date, an `UNTIL` in local time with a "
        "`TZID`, or a time zone such as `EST` that has no daylight saving time. The message says how controller "
        "interprets it.",
        remedy="Write the schedule as the hint suggests.",
        wrong=NIGHTLY + 'schedule: {cron: "0 9 L/2 * *"}\n',
        right=NIGHTLY + 'schedule: {cron: "0 9 L * *"}\n',
    ),
)
