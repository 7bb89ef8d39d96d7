"""The explanations of reasons: of conditions, skipped due times, events, refused requests and errors."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from controller.cli.formats.explained import error_reasons, recorded_reasons
from controller.cli.formats.explained.recorded_reasons import Row
from controller.records import dataclass

_FILES = "docs/triggers.md, section When files start no runs"
_GATES = "docs/triggers.md, section With a schedule: a gate"
_HOOKS = "docs/triggers.md, section Refused requests"
_ADMISSION = "docs/runs.md, section Admission"
_CLUSTERS = "docs/clusters.md, section When a node is silent"
_CONDITIONS = "docs/reconcile.md, section Conditions"
_DEADLINES = "docs/notifications.md, section Deadlines"
_CALENDARS = "docs/schedules.md, section Calendars"
_WINDOWS = "docs/schedules.md, section Windows"


class Subject(StrEnum):
    """The subject that has the reason."""

    CONDITION = "reason of a condition"
    DUE_TIME = "reason of a skipped due time"
    EVENT = "event"
    REQUEST = "reason of a refused request"
    ERROR = "reason of an error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """The explanation of a reason, in the same form as that of a finding code. `page` is a page and its section.

    The code of a due time's reason is the text before its colon.
    """

    code: str
    subject: Subject
    summary: str
    meaning: str
    remedy: str
    page: str


def _due_time(code: str, summary: str, meaning: str, remedy: str, page: str = _ADMISSION) -> Reason:
    return Reason(code=code, subject=Subject.DUE_TIME, summary=summary, meaning=meaning, remedy=remedy, page=page)


def _condition(code: str, summary: str, meaning: str, remedy: str, page: str = _CONDITIONS) -> Reason:
    return Reason(code=code, subject=Subject.CONDITION, summary=summary, meaning=meaning, remedy=remedy, page=page)


def _event(code: str, summary: str, meaning: str, remedy: str, page: str) -> Reason:
    return Reason(code=code, subject=Subject.EVENT, summary=summary, meaning=meaning, remedy=remedy, page=page)


def _request(code: str, summary: str, meaning: str, remedy: str) -> Reason:
    return Reason(code=code, subject=Subject.REQUEST, summary=summary, meaning=meaning, remedy=remedy, page=_HOOKS)


DUE_TIMES = (
    _due_time(
        "upstream",
        "an upstream deployment did not finish as required",
        "The due time waited for a deployment under `after`. Its run ended otherwise, it is suspended, or it did not "
        "finish before `start_deadline` (24 hours without one).",
        "Retry the upstream run: if it ends as required before the deadline, the due time gets another run. After the "
        "deadline, use `controller trigger NAME --due-time TIME`. Use `on: finished` if the outcome does not matter.",
        _GATES,
    ),
    _due_time(
        "calendar",
        "a calendar leaves out the day",
        "A calendar under `except` or `only` of the schedule leaves out the day of this due time.",
        "If it should run, use `controller trigger NAME --due-time TIME`, and correct `except`, `only` or the "
        "calendar. With `shift`, the schedule moves to a business day instead.",
        _CALENDARS,
    ),
    _due_time(
        "window",
        "it is outside of the windows of its schedule",
        "No window under `windows` of the schedule was open at this due time, or when its upstream deployments had "
        "finished, and the schedule has `outside: skip`.",
        "Use `outside: wait` to start the run when a window opens, or change the window.",
        _WINDOWS,
    ),
    _due_time(
        "catch-up",
        "it was missed, and `catchup` does not select it",
        "The controller was not running at this due time, or could not process it. By default, only the latest missed "
        "due time runs.",
        "Use `controller backfill NAME --from TIME` for the others, or change `catchup`.",
    ),
    _due_time(
        "deadline",
        "it is later than `start_deadline` allows",
        "The run could not start before `start_deadline`: the controller was not running, or the run waited too long.",
        "`controller status` shows what runs wait for. Extend `start_deadline`, or run the due time with "
        "`controller trigger NAME --due-time TIME`.",
    ),
    _due_time(
        "overlap",
        "an earlier run had not finished",
        "An earlier run of the deployment was running or waiting, and `overlap` is `skip`, the default. With "
        "`replace`, a later run replaced this one before it started.",
        "Use `overlap: queue` to keep every due time, or make the schedule less frequent than the runs are long.",
    ),
    _due_time(
        "suspended",
        "the deployment was suspended",
        "The document has `suspend: true`, or got it while the run waited.",
        "Remove `suspend: true` in git. `controller backfill NAME --from TIME` runs the due times since then.",
    ),
    _due_time(
        "held",
        "the deployment was held",
        "An operator held the deployment, and its schedules changed during the hold.",
        "End the hold with `controller resume NAME`. `controller backfill NAME --from TIME` runs these due times.",
    ),
    _due_time(
        "pruned",
        "the deployment was deleted",
        "The deployment was deleted in git before the run of this due time started.",
        "`controller restore NAME` prints its last document, which you can commit again.",
    ),
)
CONDITIONS = (
    _condition(
        "UpstreamMissing",
        "a deployment under `after` is not active",
        "The deployment waits for another one that is not active: it was deleted, renamed, or has never been valid. "
        "Runs that need it do not start.",
        "Declare the upstream deployment again, or remove it from `after`.",
        "docs/triggers.md, section Changes of an upstream deployment",
    ),
    _condition(
        "WatchNotAllowed",
        "no `--watch-root` allows the folder",
        "The folder of a file trigger is not below a folder that the operator allows, or it contains the state "
        "directory. Its files start no runs.",
        "Start the controller with `--watch-root`, or correct `path`.",
        _FILES,
    ),
    _condition(
        "FolderMissing",
        "the watched folder does not exist",
        "The folder of a file trigger does not exist, or its disk is not mounted. No file starts a run.",
        "Create the folder or mount the disk. The controller notices it without a restart.",
        _FILES,
    ),
    _condition(
        "FolderUnreadable",
        "the watched folder can't be read",
        "The user of the controller can't list the folder of a file trigger, or one of its subfolders.",
        "Give this user the permission to read and to enter the folder.",
        _FILES,
    ),
    _condition(
        "FileUnreadable",
        "a file can't be read",
        "The user of the controller can't read a file that matches a file trigger, so it starts no run.",
        "Change the mode or the owner of the file. It then starts its run.",
        _FILES,
    ),
    _condition(
        "FileUnsettled",
        "a file does not stop changing",
        "A file has not stopped changing for an hour, or for 20 times `settle` if that is longer.",
        "Stop what writes the file, or write to another name and rename the file at the end.",
        _FILES,
    ),
    _condition(
        "ExecutorMissing",
        "the controller does not have the executor of the deployment",
        "The deployment names an executor that the controller does not have, such as `executor: ray` without "
        "`--ray-address`. Its runs show `waiting: no executor ray here`, and do not start.",
        "Start the controller with `--ray-address`, or remove `executor` from the deployment.",
        "docs/clusters.md, section Whether the cluster answers",
    ),
    _condition(
        "ClusterUnreachable",
        "the cluster of an executor does not answer",
        "The controller has asked the cluster about its jobs, and got no answer. Runs that need it do not start. Flows "
        "that are running there continue.",
        "Check `--ray-address`, and that the head of the cluster is running. The controller asks again by itself.",
        "docs/clusters.md, section Whether the cluster answers",
    ),
    _condition(
        "ClusterAnswers",
        "the cluster of an executor answers",
        "The cluster answered when the controller last asked about its jobs. The event reports that it answers again.",
        "You don't have to do anything.",
        "docs/clusters.md, section Whether the cluster answers",
    ),
    _condition(
        "NotAsked",
        "the cluster of an executor has not been asked yet",
        "The controller has just started. It is asking the cluster.",
        "You don't have to do anything.",
        "docs/clusters.md, section Whether the cluster answers",
    ),
    _condition(
        "InvalidManifest",
        "the newest version in git is invalid",
        "A document or its file has errors. The last valid version stays active.",
        "Run `controller validate`, and correct what it reports.",
    ),
    _condition(
        "PruneWithheld",
        "the deletion waits for approval",
        "A commit deletes more deployments at once than the deletion guard allows. They stay active until an operator "
        "approves the deletion.",
        "Check `controller plan`, then use `controller approve DIGEST`; or commit the documents again.",
    ),
    _condition(
        "PruneDisabled",
        "the deployment is kept although git no longer declares it",
        "Its last document has `prune: disabled`.",
        "Commit the document again with `prune: enabled` before you delete it.",
    ),
    _condition(
        "PythonNotReady",
        "the new version waits for its Python environment",
        "The packages of the new version are not installed yet, so the last version stays active.",
        "`controller python list` shows the state of the environment, and why a build has failed.",
        "docs/python.md, section When a change becomes active",
    ),
    _condition(
        "PassOverdue",
        "a pass takes very long",
        "Reading or applying the source has taken more than 2 minutes, or 20 minutes for a URL. Schedules continue.",
        "Check the disk, the network and the git server.",
    ),
    _condition(
        "StorageFull",
        "the state can't be written",
        "The disk of the state directory is full.",
        "Free space on the disk. The controller continues by itself.",
    ),
    _condition(
        "NotStarted",
        "a run did not start in time",
        "A run did not start within `start_within` of `expect`. The message says what it waits for.",
        "Remove what it waits for, or extend the deadline.",
        _DEADLINES,
    ),
    _condition(
        "NotFinished",
        "a run did not finish in time",
        "A run did not finish within `finish_within` of `expect`.",
        "See what it does with `controller runs logs`, or extend the deadline.",
        _DEADLINES,
    ),
    _condition(
        "NoSuccess",
        "no run has succeeded in time",
        "No run of the deployment has succeeded within `success_every` of `expect`.",
        "See its last runs with `controller runs list --deployment NAME`.",
        _DEADLINES,
    ),
)
EVENTS = (
    _event(
        "UpstreamsActive",
        "all upstream deployments are active again",
        "The condition `UpstreamMissing` of the deployment has ended.",
        "You don't have to do anything.",
        "docs/triggers.md, section Changes of an upstream deployment",
    ),
    _event(
        "DueTimeRepeated",
        "a due time runs again because an upstream deployment ran again",
        "An upstream run was retried or run again, and ended as required. So the due time that was skipped because of "
        "it gets another run, or with `on_redo: run` a due time that has run.",
        "You don't have to do anything. Write `on_redo: ignore` if a redo must not repeat due times that have run.",
        _GATES,
    ),
    _event(
        "HostLost",
        "an operator declared a host lost",
        "An operator used `controller hosts lost`. The runs in progress on that host ended as `crashed`.",
        "Make sure that the host is off: flows that still run there are not stopped.",
        "docs/scale.md, section Runs of another host",
    ),
    _event(
        "FilesArrived",
        "new files have started runs",
        "New files in the folder of a file trigger have started runs.",
        "You don't have to do anything.",
        "docs/triggers.md, section Files",
    ),
    _event(
        "FileVanished",
        "new files vanished before they were ready",
        "Something moved or deleted new files before they had stopped changing for `settle`. They started no runs.",
        "Let only the runs of the deployment move files away, or use a shorter `settle`.",
        _FILES,
    ),
    _event(
        "FolderWatched",
        "the files of a folder start runs again",
        "The condition `FilesWatched=False` has ended.",
        "You don't have to do anything.",
        _FILES,
    ),
    _event(
        "HolidaysChanged",
        "another version of the `holidays` package moves fire times",
        "The public holidays of a calendar differ from those of the version that ran before.",
        "Check the new fire times with `controller next NAME`. A calendar with `dates` does not depend on the package.",
        _CALENDARS,
    ),
    _event(
        "LateResult",
        "a run that was recorded as crashed has reported its end",
        "The runner of the run was silent for too long, so controller recorded the run as `crashed`. Its flow kept "
        "running, and has now ended.",
        "The run keeps its state. Use `on_silence` to stop flows whose runners can't reach a controller.",
        _CLUSTERS,
    ),
    _event(
        "MissedTimes",
        "due times were missed and skipped",
        "Due times passed while the controller was not running, and `catchup` does not select them.",
        "`controller occurrences NAME` lists them, and `controller backfill NAME --from TIME` runs them.",
        _ADMISSION,
    ),
    _event(
        "WebhookRefused",
        "requests to a webhook were refused",
        "The requests started no runs. The message has the cause, at most once a minute for each webhook.",
        "Compare the secret, `signature` and `header` with the settings of the sender, and let it repeat the delivery.",
        _HOOKS,
    ),
)
REQUESTS = (
    _request(
        "InvalidSignature",
        "the signature of a request is missing, wrong or too old",
        "The answer is 401. The secret, `signature` or `header` differs from that of the sender, or a clock is wrong.",
        "Correct them, check the clocks of both machines, and repeat the delivery.",
    ),
    _request(
        "TooManyRequests",
        "too many requests",
        "The answer is 429: there were more requests to the webhook, or more without a valid signature, than allowed.",
        "Repeat the delivery after the number of seconds in `Retry-After`.",
    ),
    _request(
        "WebhookUnavailable",
        "the secret of a webhook can't be read",
        "The answer is 503. The variable under `env` is not set, or the file under `file` can't be read.",
        "Set the variable and restart the controller, or create the file. Then repeat the delivery.",
    ),
    _request(
        "MissingValue",
        "the body of a request has no value for a parameter",
        "The answer is 422. The JSONPath of a parameter selects nothing in the body.",
        "Correct the path under `parameters`, or what the sender sends.",
    ),
)


def _reasons(rows: Iterable[Row], subject: Subject) -> Iterator[Reason]:
    for code, summary, meaning, remedy, page in rows:
        yield Reason(code=code, subject=subject, summary=summary, meaning=meaning, remedy=remedy, page=page)


REASONS: tuple[Reason, ...] = (
    *DUE_TIMES,
    *CONDITIONS,
    *_reasons(recorded_reasons.CONDITIONS, Subject.CONDITION),
    *EVENTS,
    *_reasons(recorded_reasons.EVENTS, Subject.EVENT),
    *REQUESTS,
    *_reasons(error_reasons.ERRORS, Subject.ERROR),
)
"""All reasons that are explained."""
