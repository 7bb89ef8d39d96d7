"""The operator's file: channels, rules, and findings that contain no value of a channel."""

from datetime import time, timedelta

import pytest

from controller.manifests.notify_file import read_notify_file
from controller.model.commit_statuses import CommitStatusSettings, Provider
from controller.model.notifications import Channel, NotifyRule, NotifySettings, QuietHours, Trouble
from controller.model.policies import EnvSecret, FileSecret

WHOLE = b"""
channels:
  ops: {url: {env: SLACK_URL}}
  mail:
    url: mailto://user:secret@mail.example.com
    digest: 08:00
    timezone: Europe/Berlin
    quiet: {from: "22:00", to: 07:00}
  hook: {webhook: "https://alerts.example.com/x", hmac: {file: /run/secrets/key}, log_lines: 20}
rules:
  - to: ops
  - {to: [mail, hook], on: [failed, recovered], after: {failures: 3}, for: 10m, deployments: ["etl-*"], tags: [prod]}
group_wait: 1m
"""


def test_all_keys() -> None:
    settings, findings = read_notify_file(WHOLE, "notify.yaml")
    assert findings == ()
    assert settings == NotifySettings(
        channels={
            "ops": Channel(name="ops", url=EnvSecret(env="SLACK_URL")),
            "mail": Channel(
                name="mail",
                url="mailto://user:secret@mail.example.com",
                digest=time(8),
                timezone="Europe/Berlin",
                quiet=QuietHours(start=time(22), end=time(7), timezone="Europe/Berlin"),
            ),
            "hook": Channel(
                name="hook",
                webhook="https://alerts.example.com/x",
                hmac=FileSecret(file="/run/secrets/key"),
                log_lines=20,
            ),
        },
        rules=(
            NotifyRule(to=("ops",), on=tuple(Trouble)),
            NotifyRule(
                to=("mail", "hook"),
                on=(Trouble.FAILED, Trouble.RECOVERED),
                failures=3,
                wait=timedelta(minutes=10),
                deployments=("etl-*",),
                tags=("prod",),
            ),
        ),
        group_wait=timedelta(minutes=1),
    )
    assert "secret@" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "finding", "hint"),
    [
        (
            "",
            "n:1:1: no channel is declared, so nothing is reported",
            "declare one: channels: {ops: {url: {env: SLACK_URL}}}",
        ),
        ("- a", "n:1:3: the file must be a single mapping", None),
        ("chanels: {}", "n:1:1: unknown key `chanels`", "did you mean channels?"),
        (
            "channels: {ops: slack://topsecret}",
            "n:1:17: ops must be a mapping, not a string",
            "write its URL under the key url or webhook: {url: {env: NAME}}",
        ),
        ("channels: {ops: {}}", "n:1:17: exactly one of url or webhook is required", None),
        (
            "channels: {ops: {url: topsecret}}",
            "n:1:23: url is not a URL",
            "write it as SCHEME://…, without spaces, or where it comes from: {env: NAME} or {file: /path}",
        ),
        (
            "channels: {ops: {url: {env: top-secret}}}",
            "n:1:29: invalid env",
            "write the name of an environment variable of the controller",
        ),
        (
            "channels: {ops: {webhook: 'https://x', hmac: topsecret}}",
            "n:1:46: hmac must be a mapping, not a string",
            "write where the value comes from: {env: NAME} or {file: /path}",
        ),
        ("channels: {ops: {url: 'a://b', hmac: {env: A}}}", "n:1:32: hmac requires webhook", None),
        (
            "channels: {ops: {webhook: 'mailto://topsecret'}}",
            "n:1:27: webhook must be a URL that begins with https:// or http://",
            "write https://…, or use the key url for a service of apprise",
        ),
        (
            "channels: {ops: {webhook: 'http://x.example'}}",
            "n:1:27: messages are sent without encryption",
            "write https://… if the receiver supports it",
        ),
        (
            "channels: {ops: {url: 'a://b', digest: 8}}",
            "n:1:40: digest must be a string, not a number",
            "write it in quotes",
        ),
        (
            "channels: {ops: {url: 'a://b', digest: '8'}}",
            "n:1:40: digest is not a time of day",
            'write a time of day in 24 hours, in quotes: "22:00"',
        ),
        (
            "channels: {ops: {url: 'a://b', quiet: {from: '07:00', to: '07:00'}}}",
            "n:1:59: from and to must differ",
            None,
        ),
        (
            "channels: {ops: {webhook: 'https://me:topsecret@example.org/x'}}",
            "n:1:27: webhook contains a user or a password, which are not sent",
            "remove them; hmac signs each request, and the path or the query can contain a token",
        ),
        (
            "channels: {ops: {webhook: 'https://example.org:99999/x'}}",
            "n:1:27: the port of webhook is invalid",
            "write a number from 1 to 65535, or leave the port out",
        ),
        (
            "channels: {ops: {url: 'a://b', timezone: Berlin}}",
            "n:1:42: unknown time zone 'Berlin'",
            "write Europe/Berlin",
        ),
        (
            "channels: {ops: {url: 'a://b'}}\nrules: [{to: opps}]",
            "n:2:14: channel opps is not declared",
            "did you mean ops?",
        ),
        (
            "channels: {ops: {url: 'a://b'}}\nrules: [{to: [ops, mail]}]",
            "n:2:20: channel mail is not declared",
            "declared channels: ops",
        ),
        (
            "channels: {ops: {url: 'a://b'}}\nrules: [{to: ops, on: [fail]}]",
            (
                "n:2:24: item 1 of on must be failed, timed_out, crashed, late, overdue, invalid, withheld, python,"
                " source, storage or recovered, not 'fail'"
            ),
            "did you mean failed?",
        ),
        (
            "channels: {ops: {url: @topsecret}}",
            "n:1:23: not valid YAML: a value that begins with @ must be in quotes",
            None,
        ),
    ],
)
def test_a_finding_says_where_and_what_to_do(text: str, finding: str, hint: str | None) -> None:
    _, [only] = read_notify_file(text.encode(), "n")
    assert str(only) == finding
    assert only.hint == hint


@pytest.mark.parametrize("key", ["url", "webhook", "hmac", "digest", "timezone", "quiet", "log_lines", "x"])
@pytest.mark.parametrize(
    "value", ["topsecret", "{env: topsecret!}", "[topsecret]", "{file: topsecret}", "'topsecret", "&a"]
)
def test_no_finding_contains_a_value_of_a_channel(key: str, value: str) -> None:
    _, findings = read_notify_file(f"channels: {{ops: {{{key}: {value}}}}}".encode(), "n")
    if key != "timezone":  # which is quoted with its suggestions, as everywhere
        assert "topsecret" not in "".join(f"{finding}{finding.hint}" for finding in findings)


def test_commit_statuses() -> None:
    text = b"commit_status: {provider: gitlab, token: {file: /t}, url: https://gitlab.com/a/b/c, context: flows prod}"
    settings, findings = read_notify_file(text, "notify.yaml")
    assert findings == ()
    assert settings.commit_status == CommitStatusSettings(
        provider=Provider.GITLAB,
        token=FileSecret(file="/t"),
        url="https://gitlab.com/a/b/c",
        context="flows prod",
    )
    assert list(settings.channels) == []
    assert list(settings.receivers) == ["commit-status"]


@pytest.mark.parametrize(
    ("fields", "code", "message", "hint"),
    [
        (
            "provider: github, token: ghp_s3cr3t",
            "WrongType",
            "1:42: token must be a mapping, not a string",
            "write where the value comes from: {env: NAME} or {file: /path}",
        ),
        (
            "provider: githb, token: {env: T}",
            "InvalidValue",
            "1:27: provider must be github, gitlab, gitea, forgejo or bitbucket, not 'githb'",
            "did you mean github?",
        ),
        (
            "provider: github, token: {env: T}, url: 'https://me:s3cr3t@github.com/a/b'",
            "InvalidUrl",
            "1:57: url contains a user or a password, which are not sent",
            "remove them; use the key token",
        ),
        (
            "provider: github, token: {env: T}, context: ' prod'",
            "InvalidValue",
            "1:61: invalid context",
            "write letters, digits and punctuation, with single spaces between words",
        ),
        ("provider: github", "MissingKey", "1:16: required key `token` is missing", None),
        (
            "provider: github, token: {env: T}, url: 'http://git.example.org/a/b'",
            "PlainHttp",
            "1:57: the token is sent without encryption",
            "write https://… if the server supports it",
        ),
    ],
)
def test_findings_about_commit_statuses_contain_no_secret(
    fields: str, code: str, message: str, hint: str | None
) -> None:
    _, [finding] = read_notify_file(f"commit_status: {{{fields}}}".encode(), "notify.yaml")
    assert (finding.code, str(finding), finding.hint) == (code, f"notify.yaml:{message}", hint)
    assert "s3cr3t" not in f"{finding}{finding.hint}"


def test_a_channel_can_not_have_the_name_of_commit_statuses() -> None:
    text = b"channels: {commit-status: {url: json://x}}\ncommit_status: {provider: github, token: {env: T}}"
    _, [finding] = read_notify_file(text, "notify.yaml")
    assert (finding.code, str(finding)) == (
        "ReservedChannel",
        "notify.yaml:1:12: the name commit-status is reserved for commit_status",
    )
    _, findings = read_notify_file(b"channels: {commit-status: {url: json://x}}", "notify.yaml")
    assert findings == ()


def test_rules_can_not_name_the_channel_of_commit_statuses() -> None:
    text = b"rules: [{to: commit-status}]\ncommit_status: {provider: github, token: {env: T}}"
    _, [finding] = read_notify_file(text, "notify.yaml")
    assert (finding.code, finding.message) == ("UnknownChannel", "channel commit-status is not declared")
