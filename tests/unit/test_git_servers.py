"""The URLs of repositories on git servers, as the servers document them."""

import pytest

from controller.errors import UsageError
from controller.git_servers import check_web_page, commit_page, is_unencrypted, statuses_url, web_page
from controller.model.commit_statuses import Provider
from controller.remotes import parse_url

SHA = "a" * 40


@pytest.mark.parametrize(
    ("repo", "page"),
    [
        ("https://github.com/acme/flows.git", "https://github.com/acme/flows"),
        ("https://git.example.org:8443/acme/flows/", "https://git.example.org:8443/acme/flows"),
        ("git@github.com:acme/flows.git", "https://github.com/acme/flows"),
        ("ssh://git@gitea.example.org:2222/acme/flows.git", "https://gitea.example.org/acme/flows"),
        ("ssh://git@ssh.github.com:443/acme/flows.git", "https://github.com/acme/flows"),
        ("git@gitlab.com:acme/data/flows.git", "https://gitlab.com/acme/data/flows"),
        ("http://localhost:3000/acme/flows/.git", "http://localhost:3000/acme/flows"),
        ("file:///srv/flows.git", None),
    ],
)
def test_the_web_page_of_a_repository_is_derived_from_its_url(repo: str, page: str | None) -> None:
    assert web_page(parse_url(repo)) == page


@pytest.mark.parametrize(
    ("provider", "page", "url"),
    [
        ("github", "https://github.com/acme/flows", f"https://api.github.com/repos/acme/flows/statuses/{SHA}"),
        ("github", "https://acme.ghe.com/a/flows", f"https://api.acme.ghe.com/repos/a/flows/statuses/{SHA}"),
        (
            "github",
            "https://git.example.org:8443/acme/flows",
            f"https://git.example.org:8443/api/v3/repos/acme/flows/statuses/{SHA}",
        ),
        (
            "gitlab",
            "https://gitlab.com/acme/data/flows.git",
            f"https://gitlab.com/api/v4/projects/acme%2Fdata%2Fflows/statuses/{SHA}",
        ),
        ("gitea", "https://git.example.org/a/flows", f"https://git.example.org/api/v1/repos/a/flows/statuses/{SHA}"),
        ("gitea", "https://example.org/git/a/b", f"https://example.org/git/api/v1/repos/a/b/statuses/{SHA}"),
        ("forgejo", "https://codeberg.org/a/flows/", f"https://codeberg.org/api/v1/repos/a/flows/statuses/{SHA}"),
        (
            "bitbucket",
            "https://bitbucket.org/acme/flows",
            f"https://api.bitbucket.org/2.0/repositories/acme/flows/commit/{SHA}/statuses/build",
        ),
    ],
)
def test_the_url_for_statuses_is_that_of_the_documentation(provider: str, page: str, url: str) -> None:
    check_web_page(Provider(provider), page)
    assert statuses_url(Provider(provider), page, SHA) == url


@pytest.mark.parametrize(
    ("provider", "page", "message"),
    [
        ("github", "github.com/acme/flows", "url is not an http(s) URL"),
        ("github", "ftp://github.com/acme/flows", "url is not an http(s) URL"),
        ("github", "https://git hub.com/acme/flows", "url is not an http(s) URL"),
        ("github", "https://github.com:0/acme/flows", "url is not an http(s) URL"),
        ("github", "https://github.com:port/acme/flows", "url is not an http(s) URL"),
        ("github", "https://me:s3cr3t@github.com/acme/flows", "url contains a user or a password, which are not sent"),
        ("github", "https://github.com/acme", "url is not the URL of a repository"),
        ("github", "https://github.com/acme/flows/tree/main", "url is not the URL of a repository"),
        ("github", "https://github.com/acme/flows?tab=readme", "url is not the URL of a repository"),
        ("github", "https://github.com/acme/%2e%2e", "url is not the URL of a repository"),
        ("gitea", "https://git.example.org/../flows", "url is not the URL of a repository"),
        (
            "bitbucket",
            "https://bitbucket.example.org/acme/flows",
            "url is not on bitbucket.org, and other servers of Bitbucket are not supported",
        ),
    ],
)
def test_a_url_that_names_no_repository_is_rejected_without_repeating_it(
    provider: str, page: str, message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        check_web_page(Provider(provider), page)
    assert raised.value.message == message
    assert raised.value.hint
    assert "s3cr3t" not in str(raised.value) + raised.value.hint


def test_the_page_of_a_commit() -> None:
    assert (
        commit_page(Provider.BITBUCKET, "https://bitbucket.org/a/b", SHA) == f"https://bitbucket.org/a/b/commits/{SHA}"
    )
    assert commit_page(Provider.GITLAB, "https://gitlab.com/a/b.git", SHA) == f"https://gitlab.com/a/b/-/commit/{SHA}"
    assert commit_page(Provider.GITHUB, "https://github.com/a/b/", SHA) == f"https://github.com/a/b/commit/{SHA}"


def test_only_http_to_another_machine_can_be_read_by_others() -> None:
    assert is_unencrypted("http://git.example.org/a/b")
    assert not is_unencrypted("http://localhost:3000/a/b")
    assert not is_unencrypted("https://git.example.org/a/b")
