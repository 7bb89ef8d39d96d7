"""What is wrong with when a deployment runs. See `entry` for the form; docs/findings.md says the same."""

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
        remedy="Write seconds, `90s`, `15m`, `1h30m`, `2d`, `PT15M` or `01:30:00`.",
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
        meaning="Two schedules of one deployment have the same id, or say exactly the same.",
        remedy="Give each its own `id`, or remove one.",
        wrong=NIGHTLY + "schedules:\n  - interval: 1h\n  - interval: 1h\n",
        right=NIGHTLY + "schedules:\n  - interval: 1h\n",
    ),
)
