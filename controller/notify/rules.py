"""Which channels a trouble of a deployment is reported to, and from when. Pure; called by `incidents`."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from controller.model.notifications import (
    CONTROLLER_SUBJECT,
    RUN_TROUBLES,
    SOURCE_SUBJECT,
    IncidentMember,
    NotifyRule,
    NotifySettings,
    Trouble,
)

Audience = Mapping[str, tuple[NotifyRule, ...]]
"""The rules for one subject by channel."""
_OF_DEPLOYMENTS = (*RUN_TROUBLES, Trouble.LATE, Trouble.OVERDUE)


def find_audience(
    settings: NotifySettings, subject: str, tags: Collection[str] = (), declared: Iterable[NotifyRule] = ()
) -> Audience:
    """Return the rules that apply to a deployment, the source or the controller, by channel.

    `tags` and `declared`, its rules, are those of the deployment. Without rules of the operator, each channel gets
    everything; but if the deployment declares rules, they alone decide about its runs and deadlines.
    """
    own = tuple(declared)
    operators = settings.rules or (_default_rule(settings, has_own_rules=bool(own)),)
    audience: dict[str, tuple[NotifyRule, ...]] = {}
    for rule in (*(rule for rule in operators if _applies(rule, subject, tags)), *own):
        for channel in rule.to:
            if channel in settings.channels:
                audience[channel] = (*audience.get(channel, ()), rule)
    return audience


def ready_at(rules: Iterable[NotifyRule], member: IncidentMember) -> datetime | None:
    """Return from when these rules report the trouble of a member; None if they don't."""
    times = (member.since + rule.wait for rule in rules if member.trouble in rule.on and _is_enough(rule, member))
    return min(times, default=None)


def wants_recovery(rules: Iterable[NotifyRule], troubles: Collection[Trouble]) -> bool:
    """Return whether one of the rules that report these troubles also reports recoveries."""
    return any(Trouble.RECOVERED in rule.on and any(trouble in rule.on for trouble in troubles) for rule in rules)


def _is_enough(rule: NotifyRule, member: IncidentMember) -> bool:
    return member.trouble not in RUN_TROUBLES or member.failures >= rule.failures


def _default_rule(settings: NotifySettings, *, has_own_rules: bool) -> NotifyRule:
    on = tuple(trouble for trouble in Trouble if not (has_own_rules and trouble in _OF_DEPLOYMENTS))
    return NotifyRule(to=tuple(settings.channels), on=on)


def _applies(rule: NotifyRule, subject: str, tags: Collection[str]) -> bool:
    if subject in (SOURCE_SUBJECT, CONTROLLER_SUBJECT):
        return not rule.deployments and not rule.tags
    is_named = not rule.deployments or any(fnmatchcase(subject, pattern) for pattern in rule.deployments)
    return is_named and (not rule.tags or any(tag in rule.tags for tag in tags))
