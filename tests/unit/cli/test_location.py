"""The meaning of `--repo`, `--path` and `--state-dir`, and the credentials for a server."""

from pathlib import Path

import pytest

from controller.cli.main import run
from controller.errors import UsageError
from controller.remotes import RemoteUrl
from controller.settings import git_access, locate

URL = "https://example.org/team/flows.git"


def test_a_url_has_its_state_in_the_users_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    found = locate(URL, "deployments", "main", None)
    assert isinstance(found.repo, RemoteUrl)
    assert str(found.repo) == URL
    assert (found.path, found.ref) == ("deployments", "main")
    assert found.state_dir.parent == tmp_path / ".local" / "state" / "controller"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    assert locate(URL, "", None, None).state_dir.parent == tmp_path / "states" / "controller"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert locate(URL, "", None, None).state_dir == found.state_dir
    assert locate(f"{URL}x", "", None, None).state_dir != found.state_dir
    assert locate(URL, "", None, str(tmp_path / "own")).state_dir == tmp_path / "own"


def test_paths_of_a_url_are_relative_and_stay_inside() -> None:
    assert locate(URL, "a/./b/..", None, "s").path == "a"
    assert locate(URL, ".", None, "s").path == ""
    for path in ("/deployments", "..", "a/../../b"):
        with pytest.raises(UsageError, match="outside"):
            locate(URL, path, None, "s")


def test_a_directory_whose_name_looks_like_a_url_is_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b").mkdir()
    assert locate("a:b", "", None, None).repo == tmp_path / "a:b"
    assert isinstance(locate("a:c", "", None, "s").repo, RemoteUrl)


def test_a_command_that_reads_files_says_that_it_needs_a_clone() -> None:
    with pytest.raises(UsageError, match="reads files on disk"):
        _ = locate(URL, "", None, "s").directory
    assert locate(".", "", None, "s").directory == Path.cwd()


@pytest.mark.parametrize("option", ["--repo", "--path", "--state-dir"])
def test_an_empty_path_is_an_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", option, ""]) == 2
    assert f"{option} is empty" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--interval", "--lost-after"])
def test_an_invalid_duration_is_reported_with_its_option(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "--once", "--repo", str(tmp_path), option, "10ms"]) == 2
    assert f"error: {option}: '10ms' is not a duration." in capsys.readouterr().err


def test_the_top_of_a_repository_is_not_a_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "flows"
    (top / ".git").mkdir(parents=True)
    monkeypatch.chdir(top)
    for repo in (str(top), str(tmp_path), URL):
        for state in (".", f"{top}/", "../flows"):
            with pytest.raises(UsageError, match="top of a repository"):
                locate(repo, "", None, state)
    assert locate(str(top), "", None, "state").state_dir == top / "state"


def test_credentials_come_from_environment_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (git_access().username, git_access().password, git_access().password_file) == ("git", None, None)
    monkeypatch.setenv("CONTROLLER_GIT_USERNAME", "ada")
    monkeypatch.setenv("CONTROLLER_GIT_PASSWORD", "secret")
    monkeypatch.setenv("CONTROLLER_GIT_CA_FILE", str(tmp_path / "ca.pem"))
    found = git_access()
    assert (found.username, found.password, found.ca_file) == ("ada", "secret", tmp_path / "ca.pem")
    monkeypatch.setenv("CONTROLLER_GIT_PASSWORD_FILE", str(tmp_path / "password"))
    with pytest.raises(UsageError, match="not both"):
        git_access()
    monkeypatch.delenv("CONTROLLER_GIT_PASSWORD_FILE")
    monkeypatch.setenv("CONTROLLER_GIT_PASSWORD", "sec\nret")
    with pytest.raises(UsageError) as refused:
        git_access()
    assert "ret" not in refused.value.message


def test_a_password_is_not_sent_where_others_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from controller.sources.open_source import open_source

    monkeypatch.setenv("CONTROLLER_GIT_PASSWORD", "secret")
    open_source(locate("http://localhost/x.git", "", None, str(tmp_path)))
    with pytest.raises(UsageError, match="not sent"):
        open_source(locate("http://example.org/x.git", "", None, str(tmp_path)))
