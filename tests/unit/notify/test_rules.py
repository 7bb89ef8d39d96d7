"""Which channels a trouble is reported to."""

from controller.model.notifications import SOURCE_SUBJECT, Channel, NotifyRule, NotifySettings, Trouble
from controller.notify.rules import find_audience, wants_recovery

CHANNELS = {name: Channel(name=name, url="json://localhost") for name in ("ops", "mail")}
TEAM = NotifyRule(to=("mail", "unknown"), on=(Trouble.FAILED,), failures=3)


def test_without_rules_each_channel_gets_everything() -> None:
    audience = find_audience(NotifySettings(channels=CHANNELS), "etl")
    assert audience.keys() == CHANNELS.keys()
    assert all(set(rule.on) == set(Trouble) for rules in audience.values() for rule in rules)
    assert find_audience(NotifySettings(channels=CHANNELS), SOURCE_SUBJECT).keys() == CHANNELS.keys()


def test_without_rules_of_the_operator_the_rules_of_a_deployment_decide_about_its_runs() -> None:
    audience = find_audience(NotifySettings(channels=CHANNELS), "etl", declared=[TEAM])
    for trouble in (Trouble.FAILED, Trouble.CRASHED, Trouble.LATE, Trouble.OVERDUE):
        wanted = {channel for channel, rules in audience.items() for rule in rules if trouble in rule.on}
        assert wanted == ({"mail"} if trouble is Trouble.FAILED else set())
    assert any(Trouble.INVALID in rule.on for rule in audience["ops"])


def test_rules_of_the_operator_select_deployments_by_name_and_tag() -> None:
    named = NotifyRule(to=("ops",), deployments=("etl-*", "report"))
    tagged = NotifyRule(to=("mail",), tags=("billing", "prod"))
    settings = NotifySettings(channels=CHANNELS, rules=(named, tagged))
    assert find_audience(settings, "etl-daily").keys() == {"ops"}
    assert find_audience(settings, "load", tags=["prod"]).keys() == {"mail"}
    assert find_audience(settings, "load", tags=["test"]) == {}
    assert find_audience(settings, SOURCE_SUBJECT) == {}


def test_recoveries_are_reported_by_the_rules_that_reported_the_failure() -> None:
    failures = NotifyRule(to=("ops",), on=(Trouble.FAILED,))
    deadlines = NotifyRule(to=("ops",), on=(Trouble.LATE, Trouble.RECOVERED))
    assert not wants_recovery([failures, deadlines], [Trouble.FAILED])
    assert wants_recovery([failures, deadlines], [Trouble.LATE])


def test_deployments_named_like_the_source_or_the_controller_are_deployments() -> None:
    rules = (NotifyRule(to=("mail",), tags=("critical",)), NotifyRule(to=("ops",), deployments=("controller",)))
    settings = NotifySettings(channels=CHANNELS, rules=rules)
    assert find_audience(settings, "source", tags=["critical"]).keys() == {"mail"}
    assert find_audience(settings, "controller").keys() == {"ops"}
    assert find_audience(settings, SOURCE_SUBJECT, tags=["critical"]) == {}
