"""Explanations of findings about notifications: deadlines and rules of deployments, and the file `notify.yaml`."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

_WEEKDAYS = NIGHTLY + 'schedule: {cron: "0 9 * * mon-fri"}\n'

NOTIFICATIONS = (
    Explanation(
        code="UnusedDeadline",
        summary="a start deadline of a deployment without schedules",
        severity=Severity.WARNING,
        meaning="A warning: `start_within` counts from the due times of the schedules, and the deployment has none, so "
        "the deadline can't be missed.",
        remedy="Add a schedule, or remove `start_within`. `finish_within` and `success_every` also apply to runs that "
        "are triggered.",
        wrong=NIGHTLY + "expect: {start_within: 10m}\n",
        right=NIGHTLY + "schedule: {interval: 1h}\nexpect: {start_within: 10m}\n",
    ),
    Explanation(
        code="ConflictingDeadlines",
        summary="deadlines that contradict each other or the jitter",
        severity=Severity.WARNING,
        meaning="A warning: `finish_within` is shorter than `start_within`, although both count from the due time, "
        "or the `jitter` of a schedule delays runs by as much as `start_within` or more.",
        remedy="Write a longer deadline, as the hint says.",
        wrong=NIGHTLY + "schedule: {interval: 1h}\nexpect: {start_within: 20m, finish_within: 10m}\n",
        right=NIGHTLY + "schedule: {interval: 1h}\nexpect: {start_within: 10m, finish_within: 20m}\n",
    ),
    Explanation(
        code="DeadlineBelowGap",
        summary="a time between successes that the schedule exceeds",
        severity=Severity.WARNING,
        meaning="A warning: `success_every` is not longer than the longest time between two due times, for example "
        "over "
        "a weekend. So the deployment is reported as overdue although all of its runs succeed.",
        remedy="Write a longer `success_every`, as the hint says: the longest time between due times, and the time "
        "that "
        "a run takes. To find a single run that is missing, use `finish_within`.",
        wrong=_WEEKDAYS + "expect: {success_every: 26h}\n",
        right=_WEEKDAYS + "expect: {success_every: 74h}\n",
    ),
    Explanation(
        code="ChannelNotDeclared",
        summary="a channel that the operator's file does not declare",
        severity=Severity.WARNING,
        meaning="A warning: `to` in a notification rule of a deployment names a channel that is not in the file with "
        "the "
        "operator's channels, so nothing is sent to it. `controller validate` checks this only if it can read the "
        "file: the one of `--notify-config`, or the default one.",
        remedy="Correct the name, or ask the operator to declare the channel in `notify.yaml`.",
    ),
    Explanation(
        code="UnknownChannel",
        summary="a rule in notify.yaml for an undeclared channel",
        meaning="`to` in a rule of `notify.yaml` names a channel that the file does not declare under `channels`.",
        remedy="Correct the name, or declare the channel.",
    ),
    Explanation(
        code="NoChannels",
        summary="a notify.yaml without channels",
        severity=Severity.WARNING,
        meaning="A warning: the file declares neither channels nor `commit_status`, so nothing is reported.",
        remedy="Declare a channel, for example `channels: {ops: {url: {env: SLACK_URL}}}`.",
    ),
    Explanation(
        code="InvalidUrl",
        summary="an invalid URL of a channel",
        meaning="The value of `url` or `webhook` in `notify.yaml` is not a URL, or that of `commit_status` is not the "
        "URL of a repository's web page. The message does not contain it, because such URLs are secrets.",
        remedy="Write `SCHEME://…` without spaces, or where the value comes from: `{env: NAME}` or `{file: /path}`. "
        "For `commit_status`, write `https://HOST/OWNER/REPOSITORY`.",
    ),
    Explanation(
        code="PlainHttp",
        summary="a webhook without encryption",
        severity=Severity.WARNING,
        meaning="A warning: the webhook of a channel, or the `url` of `commit_status`, uses `http` to another machine, "
        "so anyone on the network can read the messages, or the token.",
        remedy="Use `https`.",
    ),
    Explanation(
        code="ReservedChannel",
        summary="a channel with the name of commit statuses",
        meaning="A channel has the name `commit-status`, and the file declares `commit_status`, whose messages belong "
        "to a channel of that name.",
        remedy="Rename the channel.",
    ),
)
