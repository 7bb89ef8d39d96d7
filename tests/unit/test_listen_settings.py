"""The address at which standbys reach a leader."""

import socket

import pytest

from controller.errors import UsageError
from controller.listen_settings import Listen, advertised_url, is_loopback_url, parse_listen


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (Listen(), "http://127.0.0.1:5000"),
        (Listen(host="::1"), "http://[::1]:5000"),
        (Listen(host="10.0.0.7", is_behind_proxy=True), "http://10.0.0.7:5000"),
        (Listen(host="0.0.0.0", is_behind_proxy=True), f"http://{socket.gethostname().lower()}:5000"),
        (Listen(host="::", public_hosts=("A.example.org", "b.example.org")), "http://a.example.org:5000"),
        (Listen(host="0.0.0.0", public_hosts=("a.example.org:443",)), "http://a.example.org:443"),
        (Listen(is_behind_proxy=True, public_hosts=("a.example.org",)), "https://a.example.org"),
        (Listen(host="10.0.0.7", public_hosts=("a.example.org",), advertise="https://b:1"), "https://b:1"),
    ],
)
def test_the_url_follows_from_the_address_unless_it_is_named(listen: Listen, url: str) -> None:
    assert advertised_url(listen, 5000) == url


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://127.0.0.1:4200", True),
        ("http://[::1]:4200", True),
        ("http://localhost:4200", True),
        ("https://10.0.0.7:4200", False),
        ("https://a.example.org", False),
    ],
)
def test_a_url_of_the_loopback_interface_is_recognized(url: str, is_local: bool) -> None:
    assert is_loopback_url(url) is is_local


def test_the_named_url_has_no_slash_at_its_end() -> None:
    listen = parse_listen("127.0.0.1:0", advertise="https://Flows.example.org:8443/")
    assert listen is not None
    assert listen.advertise == "https://flows.example.org:8443"
    default = parse_listen("127.0.0.1:0", advertise="")
    assert default is not None
    assert default.advertise is None


@pytest.mark.parametrize(
    "text",
    ["flows.example.org", "ftp://a", "https://", "https://a/b", "https://a?b", "https://u:p@a", "http://a:99999"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--advertise"):
        parse_listen("127.0.0.1:0", advertise=text)


def test_a_controller_without_an_address_has_no_url() -> None:
    with pytest.raises(UsageError, match="--advertise needs an address"):
        parse_listen("none", advertise="https://a")
