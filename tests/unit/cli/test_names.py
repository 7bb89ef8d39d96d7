"""Commands with an unknown deployment suggest a similar name, or report when the deployment was deleted."""

import re

import pytest

from tests.conftest import wait_until
from tests.unit.cli.conftest import Followed


def delete(followed: Followed, name: str) -> str:
    """Delete a deployment in git, wait until that is applied, and return the commit."""
    (followed.repository.path / f"deployments/{name}.yaml").unlink()
    commit = followed.repository.commit({})
    followed("reconcile", "--wait")
    return commit


@pytest.mark.parametrize(
    "arguments",
    [
        ("deployments", "show", "sumz"),
        ("hold", "sumz", "--reason", "moving"),
        ("resume", "sumz"),
        ("trigger", "sumz"),
        ("next", "sumz"),
        ("occurrences", "sumz"),
        ("backfill", "sumz", "--from", "2h", "--to", "now"),
        ("events", "--for", "sumz"),
        ("events", "--for", "sumz", "--follow"),
        ("runs", "list", "--deployment", "sumz"),
        ("restore", "sumz"),
        ("deployments", "open", "sumz"),
    ],
)
def test_a_misspelt_name_is_an_error_with_a_suggestion(followed: Followed, arguments: tuple[str, ...]) -> None:
    answer = followed(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "There is no deployment 'sumz'." in answer.err
    assert "hint: Did you mean sums?" in answer.err


def test_a_misspelt_name_of_a_python_environment_is_an_error_with_a_suggestion(followed: Followed) -> None:
    answer = followed("python", "show", "sumz")
    assert (answer.code, answer.out, "hint: Did you mean sums?" in answer.err) == (2, "", True)


def test_a_deleted_deployment_is_reported_with_its_deletion_and_how_to_restore_it(followed: Followed) -> None:
    commit = delete(followed, "sums")
    for arguments in (
        ("deployments", "show", "sums"),
        ("hold", "sums", "--reason", "moving"),
        ("resume", "sums"),
        ("trigger", "sums"),
        ("next", "sums"),
        ("backfill", "sums", "--from", "2h", "--to", "now"),
    ):
        answer = followed(*arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert "There is no deployment 'sums': it was deleted at 20" in answer.err
        assert re.search(rf":\d\d\+0[12]:00 by \S+{commit}", answer.err), answer.err
        assert "`controller restore sums`" in answer.err
    restored = followed("restore", "sums")
    assert (restored.code, "name: sums" in restored.out) == (0, True)
    assert "hint: Did you mean sums?" in followed("deployments", "show", "sumz").err


def test_the_history_of_a_deleted_deployment_is_still_listed(followed: Followed) -> None:
    run = followed("trigger", "fails", "--wait", "-o", "json").json
    delete(followed, "fails")
    found = followed("runs", "list", "--deployment", "fails", "-o", "json")
    assert (found.code, [one["id"] for one in found.json]) == (0, [run["id"]])
    assert "Pruned" in followed("events", "--for", "fails").out
    assert followed("occurrences", "fails").code == 0


def test_a_deployment_that_is_not_valid_yet_is_not_a_misspelling(followed: Followed) -> None:
    assert followed("runs", "list", "--deployment", "never-good").code == 0
    assert followed("events", "--for", "never-good").code == 0
    held = followed("hold", "never-good", "--reason", "moving")
    assert (held.code, "deployments/never.yaml:2:" in held.err) == (2, True)


@pytest.mark.parametrize("subject", ["source", "controller"])
def test_events_can_be_filtered_by_subjects_that_are_not_deployments(followed: Followed, subject: str) -> None:
    assert followed("events", "--for", subject).code == 0
    answer = followed("events", "--for", subject[:-1])
    assert (answer.code, f"Did you mean {subject}?" in answer.err) == (2, True)


def test_an_unknown_tag_is_an_error_and_one_without_runs_is_not(followed: Followed) -> None:
    assert followed("runs", "list", "--tag", "math", "-o", "json").json == []
    answer = followed("runs", "list", "--tag", "meth")
    assert (answer.code, answer.out) == (2, "")
    assert "No deployment and no run has the tag 'meth'." in answer.err
    assert "hint: Did you mean math?" in answer.err
    followed("trigger", "sums", "--wait")
    delete(followed, "sums")
    assert len(followed("runs", "list", "--tag", "math", "-o", "json").json) == 1
    assert followed("runs", "list", "--tag", "math", "--state", "failed").code == 0


@pytest.mark.parametrize(
    ("option", "word", "meant"), [("--state", "sucess", "succeeded"), ("--trigger", "manuel", "manual")]
)
def test_a_misspelt_value_is_an_error_with_a_suggestion(followed: Followed, option: str, word: str, meant: str) -> None:
    answer = followed("runs", "list", option, word)
    assert (answer.code, f"Did you mean '{meant}'?" in answer.err) == (2, True)


def test_withheld_deletions_are_approved_by_the_first_12_characters(followed: Followed) -> None:
    manifests = {f"deployments/m{n}.yaml": f"name: m{n}\ncommand: [echo]\n" for n in range(10)}
    followed.repository.commit(manifests)
    followed("reconcile", "--wait")
    for path in manifests:
        (followed.repository.path / path).unlink()
    followed.repository.commit({})
    followed("reconcile", "--wait")
    wait_until(lambda: followed("status", "-o", "json").json["withheld"] is not None)
    digest = followed("status", "-o", "json").json["withheld"]["digest"]
    for short in (digest[:18], digest.removeprefix("sha256:")[:11], "sha256:", ""):
        answer = followed("approve", short)
        assert (answer.code, "at least 12 characters" in answer.err) == (2, True)
        assert digest in answer.err
    other = followed("approve", digest[:18] + ("0" if digest[18] != "0" else "1"))
    assert (other.code, "No withheld deletions have the digest" in other.err) == (2, True)
    done = followed("approve", digest.removeprefix("sha256:")[:12])
    assert (done.code, len(done.out.splitlines())) == (0, 10)
