"""`controller validate` checks the channels that rules name, if it has the operator's file."""

import json
from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.unit.cli.conftest import Command

OPERATOR = "channels: {ops: {webhook: 'https://localhost/x'}}\n"
DOCUMENT = "name: a\ncommand: [cat]\nnotify: [{to: ops}, {to: [ops, oops]}]\n"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def work(repository: GitRepository) -> GitRepository:
    repository.write("deployments/a.yaml", DOCUMENT)
    return repository


def test_without_a_file_channels_are_not_checked(work: GitRepository, command: Command) -> None:
    answer = command("validate", "--repo", str(work.path))
    assert (answer.code, "Channels" in answer.err) == (0, False)


def test_an_undeclared_channel_is_a_warning(work: GitRepository, command: Command, tmp_path: Path) -> None:
    config = tmp_path / "notify.yaml"
    config.write_text(OPERATOR, encoding="utf-8")
    answer = command("validate", "--repo", str(work.path), "--notify-config", str(config), "-o", "json")
    assert answer.code == 0
    [finding] = json.loads(answer.out)["findings"]
    assert (finding["severity"], finding["code"]) == ("warning", "ChannelNotDeclared")
    assert (finding["line"], finding["column"], finding["path"]) == (3, 32, "$.notify[1].to[1]")
    assert finding["message"] == f"{config} declares no channel oops, so nothing is sent to it"
    assert finding["hint"] == "did you mean ops?"
    assert answer.err == f"Channels are checked with {config}.\n"


def test_the_default_file_is_used_if_it_exists(work: GitRepository, command: Command, tmp_path: Path) -> None:
    config = tmp_path / "config" / "controller" / "notify.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(OPERATOR, encoding="utf-8")
    answer = command("validate", "--repo", str(work.path))
    assert "declares no channel oops" in answer.out
    assert f"Channels are checked with {config}." in answer.err
    config.write_text("channels: 5\n", encoding="utf-8")
    answer = command("validate", "--repo", str(work.path))
    assert answer.code == 0
    assert f"Channels are not checked: {config}:1:11: " in answer.err


def test_a_file_that_is_named_must_be_valid(work: GitRepository, command: Command, tmp_path: Path) -> None:
    config = tmp_path / "notify.yaml"
    answer = command("validate", "--repo", str(work.path), "--notify-config", str(config))
    assert (answer.code, f"{config} can't be read" in answer.err) == (2, True)
    config.write_text("channels: 5\n", encoding="utf-8")
    answer = command("validate", "--repo", str(work.path), "--notify-config", str(config))
    assert (answer.code, f"{config}:1:11: " in answer.err) == (2, True)
