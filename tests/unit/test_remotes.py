"""Which URLs are accepted. Anything that git could take for an option or a program is rejected before git sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import UsageError
from controller.remotes import (
    check_web_url_template,
    file_url,
    guess_web_url_template,
    looks_like_url,
    parse_url,
    pull_request_url,
)

GOOD = {
    "https://example.org/flows.git": ("https", None, "example.org"),
    "https://example.org:8443/team/flows": ("https", None, "example.org"),
    "http://127.0.0.1:3000/flows.git": ("http", None, "127.0.0.1"),
    "https://[::1]:8443/flows.git": ("https", None, "[::1]"),
    "ssh://git@example.org/flows.git": ("ssh", "git", "example.org"),
    "ssh://example.org:2222/~ada/flows.git": ("ssh", None, "example.org"),
    "git@example.org:team/flows.git": ("ssh", "git", "example.org"),
    "example.org:flows.git": ("ssh", None, "example.org"),
    "git@[::1]:flows.git": ("ssh", "git", "[::1]"),
    "file:///srv/git/flows.git": ("file", None, ""),
}
BAD = [
    "ext::sh -c 'touch /tmp/canary'",
    "ext::sh%20-c%20true",
    "fd::17",
    "transport::address",
    "https::example.org/x",
    "git://example.org/x",
    "ftp://example.org/x",
    "HTTPS://example.org/x",
    "javascript://x",
    "-oProxyCommand=x:y",
    "--upload-pack=touch x:y",
    "ssh://-oProxyCommand=touch/x",
    "ssh://%2doProxyCommand=touch/x",
    "ssh://git@-oProxyCommand=touch/x",
    "ssh://-l@example.org/x",
    "-oProxyCommand=x@example.org:y",
    "git@-oProxyCommand=x:y",
    "git@example.org:-x",
    "git@example.org:--upload-pack=x",
    "https://example.org/x\n--upload-pack",
    "https://example.org/%0a--upload-pack",
    "https://example.org/a b",
    "https://example.org/\x1b[31m",
    "https://example.org/\u202ex",
    "https://example.org/x?y=z",
    "https://example.org/x#y",
    "https://example.org/../x",
    "https://example.org",
    "https://example.org/",
    "https:///x",
    "https://exa$mple.org/x",
    "https://[::1/x",
    "https://example.org:99999/x",
    "https://example.org:0/x",
    "file://host/x",
    "file://relative",
    "file:////host/x",
    "file:///srv/../x",
    "a\\b:c",
    ":x",
    "@example.org:x",
    "a@b@c:x",
]


@pytest.mark.parametrize("text", GOOD)
def test_valid_urls_are_accepted(text: str) -> None:
    url = parse_url(text)
    assert looks_like_url(text)
    assert (url.scheme, url.user, url.host) == GOOD[text]
    assert str(url) == text


@pytest.mark.parametrize("text", BAD)
def test_unsupported_urls_are_rejected(text: str) -> None:
    with pytest.raises(UsageError):
        parse_url(text)


@pytest.mark.parametrize(
    "text", ["https://ada:secret@example.org/x", "https://secret@example.org/x", "ssh://a:secret@b/x"]
)
def test_credentials_in_a_url_are_rejected_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_url(text)
    assert "credentials" in refused.value.message
    assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_error_messages_never_contain_possible_secrets() -> None:
    for text in ("ext::secret", "gopher://secret", "https://secret x", "https://exa$mple/secret", "https://h:secret/x"):
        with pytest.raises(UsageError) as refused:
            parse_url(text)
        assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_paths_are_not_mistaken_for_urls() -> None:
    assert not any(looks_like_url(path) for path in (".", "/srv/flows", "flows", "./a:b", "a/b:c"))


def test_unencrypted_transports_are_recognized() -> None:
    assert parse_url("http://example.org/x").is_unencrypted
    for text in ("http://localhost/x", "http://127.0.0.2/x", "http://[::1]/x", "https://example.org/x", "git@a:b"):
        assert not parse_url(text).is_unencrypted


def test_each_url_has_a_directory_of_its_own_with_a_plain_name() -> None:
    names = [parse_url(text).directory_name for text in (*GOOD, "git@example.org:..x", "https://a/" + "x" * 300)]
    assert len(set(names)) == len(names)
    assert all(len(name) < 60 and name.replace("-", "").replace(".", "").isalnum() for name in names)
    assert names[0].startswith("flows-")


PIECES = ["-", "--upload-pack=x", "ext", "ssh", "https", "file", ":", "::", "//", "/", "@", "[", "]", "host", "%2d"]
PIECES += ["..", "\n", "?", "~", "é", "https://host", "ssh://git@host/", "git@host:", "file:///"]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=8).map("".join))
def test_any_text_is_either_rejected_or_a_harmless_url(text: str) -> None:
    try:
        url = parse_url(text)
    except UsageError:
        return
    assert str(url) == text
    assert not any(part.startswith("-") for part in (text, url.host, url.user or "", url.path))
    assert url.scheme in ("https", "http", "ssh", "file")
    assert text.isprintable()
    assert "::" not in text.partition("[")[0]
    assert ".." not in url.path.split("/")
    assert "/" not in url.directory_name
    assert not url.directory_name.startswith((".", "-"))


@pytest.mark.parametrize(
    ("remote", "template"),
    [
        ("https://github.com/acme/shop.git", "https://github.com/acme/shop/commit/{commit}"),
        ("git@github.com:acme/shop.git", "https://github.com/acme/shop/commit/{commit}"),
        ("ssh://git@gitlab.acme.org:2222/a/b/shop", "https://gitlab.acme.org/a/b/shop/-/commit/{commit}"),
        ("https://git.acme.org/acme/shop", None),
        ("https://user:secret@github.com/acme/shop", None),
        ("git@github.com:acme/shop'onclick=", None),
        ("https://github.com/acme", None),
        ("/srv/shop.git", None),
        ("ext::sh", None),
    ],
)
def test_the_web_page_of_commits_is_guessed_for_known_services(remote: str, template: str | None) -> None:
    assert guess_web_url_template(remote) == template


def test_a_template_of_web_pages_is_an_http_url_with_the_commit() -> None:
    assert check_web_url_template(None) is None
    template = "https://git.acme.org/shop/commit/{commit}"
    assert check_web_url_template(template) == template
    for wrong in ("", "{commit}", "https://git.acme.org/shop", "javascript:alert(1)//{commit}", "https://a b/{commit}"):
        with pytest.raises(UsageError, match="web-url-template"):
            check_web_url_template(wrong)


GITHUB = "https://github.com/acme/shop/commit/{commit}"
GITLAB = "https://gitlab.example.org/team/shop/-/commit/{commit}"


@pytest.mark.parametrize(
    ("template", "subject", "result"),
    [
        (GITHUB, "Keep 98 % of the rows (#123)", ("#123", "https://github.com/acme/shop/pull/123")),
        (GITLAB, "Keep rows (!7)", ("!7", "https://gitlab.example.org/team/shop/-/merge_requests/7")),
        (GITHUB, "Merge pull request #8 from acme/rows", ("#8", "https://github.com/acme/shop/pull/8")),
        (GITHUB, "Fix (#12) and more", None),
        ("https://git.example.org/shop/commit/{commit}", "Keep rows (#1)", None),
        (None, "Keep rows (#1)", None),
    ],
)
def test_the_subject_of_a_commit_names_its_pull_request(
    template: str | None, subject: str, result: tuple[str, str] | None
) -> None:
    assert pull_request_url(template, subject) == result


def test_a_line_of_a_file_has_a_page_on_known_services() -> None:
    page = file_url(GITHUB, "abc", "deployments/a b.yaml", 3)
    assert page == "https://github.com/acme/shop/blob/abc/deployments/a%20b.yaml#L3"
    assert file_url(GITLAB, "abc", "x.yaml", 1) == "https://gitlab.example.org/team/shop/-/blob/abc/x.yaml#L1"
    assert file_url("https://git.example.org/c/{commit}", "abc", "x.yaml", 1) is None
    assert file_url(GITHUB, "abc", "\udcff.yaml", 1) == "https://github.com/acme/shop/blob/abc/%FF.yaml#L1"
    assert file_url(GITHUB, "", "x.yaml", 1) is None
