"""The URL of a state database: what is accepted, and that no message and no representation has its password."""

import pytest

from controller.errors import UsageError
from controller.state_url import parse_state_url


@pytest.mark.parametrize("text", [None, ""])
def test_without_a_url_the_state_is_in_the_state_directory(text: str | None) -> None:
    assert parse_state_url(text) is None


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("postgresql+psycopg://ada@db:5432/state", "postgresql+psycopg://ada@db:5432/state"),
        ("postgresql://ada:s3cret@db/state", "postgresql://ada@db/state"),
        ("postgresql://:s3cret@db/state", "postgresql://@db/state"),
        ("postgresql://ada:s3cret@db/state?sslmode=require", "postgresql://ada@db/state?sslmode=require"),
        ("postgresql://ada@/state?host=/run/postgresql", "postgresql://ada@/state?host=/run/postgresql"),
        ("postgresql://ada@[::1]:5433/state", "postgresql://ada@[::1]:5433/state"),
    ],
)
def test_texts_have_the_url_without_its_password(text: str, public: str) -> None:
    url = parse_state_url(text)
    assert url is not None
    assert (str(url), url.text) == (public, text)
    assert "s3cret" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///s3cret",
        "mysql://a:s3cret@h/d",
        "s3cret",
        "postgresql://h:s3cret/d",
        "postgresql://h:99999/s3cret",
        "postgresql://h/d#s3cret",
        "postgresql://h/d\ns3cret",
        "postgresql://a:s3cret@h",
        "postgresql://a:s3cret@h/",
        "postgresql://h/d?password=s3cret",
        "postgresql://h/d?sslkey=k&sslpassword=s3cret",
    ],
)
def test_other_urls_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_state_url(text)
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_a_password_is_refused_only_on_the_command_line() -> None:
    text = "postgresql://ada:s3cret@db/state"
    with pytest.raises(UsageError, match="every user of the machine") as caught:
        parse_state_url(text, is_argument=True)
    assert "CONTROLLER_STATE_URL" in str(caught.value.hint)
    assert parse_state_url(text) is not None
    assert parse_state_url("postgresql://ada@db/state", is_argument=True) is not None
