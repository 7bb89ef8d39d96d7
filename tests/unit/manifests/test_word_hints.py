"""A word or a size of another program, in the place of one of ours, gets a hint that is valid there."""

import pytest

from tests.unit.manifests.conftest import Read

BASE = "name: a\ncommand: ['true']\n"
HOOK = "on: {webhook: {name: x, secret: {env: X}, "


def hint_of(read: Read, text: str) -> str | None:
    [finding] = read(f"{BASE}{text}\n").findings
    assert finding.severity.value == "error"
    return finding.hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        (f"{HOOK}signature: github}}}}", "write signature: hmac-sha256; GitHub's header is X-Hub-Signature-256"),
        (f"{HOOK}signature: Gitea}}}}", "write signature: hmac-sha256 and header: X-Gitea-Signature"),
        (f"{HOOK}signature: gitlab}}}}", "write signature: token and header: X-Gitlab-Token"),
        (f"{HOOK}signature: svix}}}}", "write signature: standard-webhooks"),
        ("overlap: parallel", "did you mean allow?"),
        ("overlap: {policy: forbid}", "did you mean skip?"),
        ("overlap: all", "did you mean allow?"),
        ("retries: {limit: 1, on: [error]}", "did you mean failed?"),
        ("retries: {limit: 1, on: [all]}", "write on: [failed, timed_out, crashed]"),
        ("retries: {limit: 1, on: [success]}", None),
        ("notify: {to: ops, on: [all]}", "remove on: by default, all troubles of runs and deadlines are reported"),
        ("prune: all", None),
        ("resources: {memory: 512Mi}", "write 512MiB"),
        ("resources: {memory: 1gb}", "write 1GB"),
        ("resources: {memory: 1.5 g}", "write 1.5GB"),
        ("resources: {memory: 2ti}", "write 2TiB"),
        ("resources: {memory: 900ti}", "write a number of bytes, or a size such as 512MiB, 1GiB or 2GB"),
        ("working_directory: 'a\\b '", "write the path as a/b"),
    ],
)
def test_the_hint_fits_the_key(read: Read, written: str, hint: str | None) -> None:
    assert hint_of(read, written) == hint


def test_an_empty_name_is_shown_in_quotes(read: Read) -> None:
    [variable] = read(f'{BASE}env: {{"": x}}\n').findings
    assert variable.message == "'' is not a valid environment variable name"


def test_names_of_a_matrix_that_differ_in_case_are_both_shown(read: Read) -> None:
    [finding] = read("name: 's-{r}'\ncommand: ['true']\nmatrix: {r: [eu, EU]}\n").findings
    assert finding.message == "{r: eu} and {r: EU} get names that differ only in case: s-eu and s-EU"
