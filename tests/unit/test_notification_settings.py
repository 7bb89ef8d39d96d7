"""The options about notifications: what is accepted, and that the heartbeat URL appears in no error."""

from pathlib import Path
from typing import Any

import pytest

from controller.errors import UsageError
from controller.notification_settings import NotificationSettings, parse_notifications

SECRET = "s3cr3t"


def parse(**options: Any) -> NotificationSettings:
    defaults: dict[str, Any] = dict.fromkeys(("config", "public_url", "heartbeat_url", "ca_file"))
    defaults |= {"default_directory": Path("/etc/example/controller"), "has_deployment_metrics": True}
    return parse_notifications(**{**defaults, **options})


def test_without_options_the_default_file_may_be_missing() -> None:
    settings = parse()
    assert settings == NotificationSettings(config=Path("/etc/example/controller/notify.yaml"))
    assert not settings.needs_config


def test_the_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the file does not exist"):
        parse(config=str(tmp_path / "notify.yaml"))
    (tmp_path / "notify.yaml").touch()
    settings = parse(config=str(tmp_path / "notify.yaml"))
    assert (settings.config, settings.needs_config) == (tmp_path / "notify.yaml", True)


def test_the_public_url_has_no_slash_at_the_end() -> None:
    assert parse(public_url="https://flows.example.org/team/").public_url == "https://flows.example.org/team"


@pytest.mark.parametrize(
    "url", ["flows.example.org", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x#y", "https://x y"]
)
def test_an_invalid_public_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--public-url"):
        parse(public_url=url)


@pytest.mark.parametrize("url", [f"hc-ping.com/{SECRET}", f"ftp://x/{SECRET}", f"https://[x/{SECRET}"])
def test_an_invalid_heartbeat_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(heartbeat_url=url)
    assert SECRET not in f"{error.value.message} {error.value.hint}"


def test_the_heartbeat_url_does_not_appear_in_the_settings_as_text() -> None:
    assert SECRET not in repr(parse(heartbeat_url=f"https://hc-ping.com/{SECRET}"))
