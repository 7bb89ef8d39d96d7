"""The token is created once and stored as a hash; codes and sessions expire."""

from datetime import timedelta
from pathlib import Path

import pytest

from controller.api.http.credentials import CODE_LIFE, SESSION_LIFE, Credentials
from controller.errors import StateError, UsageError
from controller.listen_settings import parse_listen
from tests.conftest import ManualClock


def token_of(directory: Path) -> str:
    return (directory / "token").read_text().strip()


def test_the_token_is_created_once_and_readable_by_its_user_only(tmp_path: Path, clock: ManualClock) -> None:
    first = Credentials(tmp_path, clock)
    token = token_of(tmp_path)
    assert len(token) == 43
    for name in ("token", "token.sha256"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert token not in (tmp_path / "token.sha256").read_text()
    assert first.is_token(token)
    assert Credentials(tmp_path, clock).is_token(token)
    assert not first.is_token(token[:-1])
    assert not first.is_token("")
    assert not first.is_token("\udc80é")


def test_the_token_works_without_the_token_file(tmp_path: Path, clock: ManualClock) -> None:
    Credentials(tmp_path, clock)
    token = token_of(tmp_path)
    (tmp_path / "token").unlink()
    assert Credentials(tmp_path, clock).is_token(token)
    assert not (tmp_path / "token").exists()


def test_a_new_token_ends_all_sessions(tmp_path: Path, clock: ManualClock) -> None:
    before = Credentials(tmp_path, clock)
    session = before.new_session()
    assert Credentials(tmp_path, clock).is_session(session)
    (tmp_path / "token").write_text("n" * 43)
    after = Credentials(tmp_path, clock)
    assert after.is_token("n" * 43)
    assert not after.is_session(session)


@pytest.mark.parametrize("text", ["", "short", "with blanks " * 5, "ü" * 50])
def test_a_weak_token_is_rejected(tmp_path: Path, clock: ManualClock, text: str) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(StateError, match="does not contain a valid token"):
        Credentials(tmp_path, clock)


def test_a_code_works_once_and_expires(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    code, late = credentials.new_code(), credentials.new_code()
    assert credentials.redeem(code)
    assert not credentials.redeem(code)
    clock.turn(CODE_LIFE)
    assert not credentials.redeem(late)


def test_the_number_of_unused_codes_is_limited(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    codes = [credentials.new_code() for _ in range(100)]
    assert [credentials.redeem(code) for code in codes].count(True) == 20


def test_a_session_expires_can_be_ended_and_cannot_be_forged(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    one, other = credentials.new_session(), credentials.new_session()
    assert one != other
    credentials.end_session(one)
    assert (credentials.is_session(one), credentials.is_session(other)) == (False, True)
    end, rest = other.split(".", 1)
    for forged in (f"{int(end) + 1}.{rest}", other[:-1], "", "a.b.c", f"{end}.{'x' * 22}.{'0' * 64}"):
        assert not credentials.is_session(forged)
    clock.turn(SESSION_LIFE - timedelta(seconds=1))
    assert credentials.is_session(other)
    clock.turn(timedelta(seconds=1))
    assert not credentials.is_session(other)


def test_an_ended_session_stays_ended_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    ended, other = credentials.new_session(), credentials.new_session()
    credentials.end_session(ended)
    again = Credentials(tmp_path, clock)
    assert (again.is_session(ended), again.is_session(other)) == (False, True)
    kept = tmp_path / "sessions.ended"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert ended not in kept.read_text()
    again.end_session(other)
    assert not Credentials(tmp_path, clock).is_session(ended)


def test_ended_sessions_are_recorded_until_they_would_have_expired(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    for _ in range(3):
        credentials.end_session(credentials.new_session())
    assert len((tmp_path / "sessions.ended").read_text().splitlines()) == 3
    clock.turn(SESSION_LIFE)
    credentials.end_session(credentials.new_session())
    assert len((tmp_path / "sessions.ended").read_text().splitlines()) == 1


def test_invalid_sessions_are_not_recorded(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    for value in ("", "x", credentials.new_session()[:-1] + "\n", f"9{'9' * 11}.{'x' * 22}.{'0' * 64}"):
        credentials.end_session(value)
    assert not (tmp_path / "sessions.ended").exists()


def test_an_invalid_line_in_the_ended_sessions_does_not_hide_others(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    session = credentials.new_session()
    credentials.end_session(session)
    kept = tmp_path / "sessions.ended"
    kept.write_bytes(b"\xff\n\nx.y\n" + kept.read_bytes())
    assert not Credentials(tmp_path, clock).is_session(session)


def test_a_logout_that_cannot_be_recorded_works_until_the_restart(tmp_path: Path, clock: ManualClock) -> None:
    credentials = Credentials(tmp_path, clock)
    session = credentials.new_session()
    (tmp_path / "sessions.ended").mkdir()
    with pytest.raises(StateError, match="could not be recorded: Is a directory"):
        credentials.end_session(session)
    assert not credentials.is_session(session)


def test_valid_listen_addresses(tmp_path: Path) -> None:
    default = parse_listen(None)
    assert default is not None
    assert (default.host, default.port, default.is_explicit, default.is_loopback) == ("127.0.0.1", 4200, False, True)
    assert parse_listen("none") is None
    six = parse_listen("[::1]:80")
    assert six is not None
    assert (six.host, six.port, six.is_loopback) == ("::1", 80, True)
    for file in ("c.pem", "k.pem"):
        (tmp_path / file).touch()
    tls = parse_listen("0.0.0.0:443", certificate=str(tmp_path / "c.pem"), key=str(tmp_path / "k.pem"))
    assert tls is not None
    assert not tls.is_loopback
    assert parse_listen("0.0.0.0:4200", is_behind_proxy=True) is not None


@pytest.mark.parametrize(
    "address",
    ["4200", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "example.org:80", "0.0.0.0:4200", "[::]:4200"],
)
def test_invalid_listen_addresses_are_rejected(address: str) -> None:
    with pytest.raises(UsageError):
        parse_listen(address)
