"""Commands with an unknown deployment suggest a similar name, or report when the deployment was deleted."""

import re

import pytest
from click.shell_completion import ShellComplete

from controller.cli.main import COMPLETION_VARIABLE, cli
from tests.conftest import wait_until
from tests.unit.cli.conftest import OWN_CONTROLLER, Followed

NIGHTLY = "name: NAME\ncommand: ['true']\nschedule: {cron: '0 2 * * *', timezone: Europe/Berlin}\n"


def delete(followed: Followed, name: str) -> str:
    """Delete a deployment in git, wait until that is applied, and return the commit."""
    (followed.repository.path / f"deployments/{name}.yaml").unlink()
    return followed.commit({})


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
    followed.commit({"deployments/loader.yaml": NIGHTLY.replace("NAME", "loader")})
    commit = delete(followed, "loader")
    for arguments in (
        ("deployments", "show", "loader"),
        ("hold", "loader", "--reason", "moving"),
        ("resume", "loader"),
        ("trigger", "loader"),
        ("next", "loader"),
        ("backfill", "loader", "--from", "2h", "--to", "now"),
    ):
        answer = followed(*arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert "There is no deployment 'loader': it was deleted at 20" in answer.err
        assert re.search(rf":\d\d\+0[12]:00 by \S+{commit}", answer.err), answer.err
        assert "`controller restore loader`" in answer.err
    restored = followed("restore", "loader")
    assert (restored.code, "name: loader" in restored.out) == (0, True)
    assert "hint: Did you mean loader?" in followed("deployments", "show", "loadre").err


def test_the_history_of_a_deleted_deployment_is_still_listed(followed: Followed) -> None:
    followed.commit({"deployments/gone.yaml": "name: gone\ncommand: ['true']\n"})
    run = followed("trigger", "gone", "--wait", "-o", "json").json
    delete(followed, "gone")
    found = followed("runs", "list", "--deployment", "gone", "-o", "json")
    assert (found.code, [one["id"] for one in found.json]) == (0, [run["id"]])
    assert "Pruned" in followed("events", "--for", "gone").out
    assert followed("occurrences", "gone").code == 0


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
    followed.commit({"deployments/billed.yaml": "name: billed\ncommand: ['true']\ntags: [billing]\n"})
    assert followed("runs", "list", "--tag", "billing", "-o", "json").json == []
    answer = followed("runs", "list", "--tag", "biling")
    assert (answer.code, answer.out) == (2, "")
    assert "No deployment and no run has the tag 'biling'." in answer.err
    assert "hint: Did you mean billing?" in answer.err
    followed("trigger", "billed", "--wait")
    delete(followed, "billed")
    assert len(followed("runs", "list", "--tag", "billing", "-o", "json").json) == 1
    assert followed("runs", "list", "--tag", "billing", "--state", "failed").code == 0


@pytest.mark.parametrize(
    ("option", "word", "meant"), [("--state", "sucess", "succeeded"), ("--trigger", "manuel", "manual")]
)
def test_a_misspelt_value_is_an_error_with_a_suggestion(followed: Followed, option: str, word: str, meant: str) -> None:
    answer = followed("runs", "list", option, word)
    assert (answer.code, f"Did you mean '{meant}'?" in answer.err) == (2, True)


@OWN_CONTROLLER
def test_withheld_deletions_are_approved_by_the_first_12_characters(followed: Followed) -> None:
    manifests = {f"deployments/m{n}.yaml": f"name: m{n}\ncommand: [echo]\n" for n in range(10)}
    followed.commit(manifests)
    for path in manifests:
        (followed.repository.path / path).unlink()
    followed.commit({})
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


def test_names_with_capitals_dots_and_underscores_work_in_every_command(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["etl_daily", "Orders.v2", "a..b", "CON", "new", "etl.py", "N" * 100]
    followed.commit({"deployments/names.yaml": "---\n".join(f"name: {name}\ncommand: [echo, hi]\n" for name in names)})
    for name in names:
        assert followed("trigger", name, "--wait", "-o", "json").json["state"] == "succeeded", name
        assert followed("deployments", "show", name, "-o", "json").json["name"] == name
        assert followed("hold", name, "--reason", "a look").code == 0
        assert [run["deployment"] for run in followed("runs", "list", "--deployment", name, "-o", "json").json] == [
            name
        ]
    assert followed("execute", "etl.py").code == 0
    assert followed("deployment", "execute", "some-flow/Orders.v2").code == 0
    assert followed("deployment", "inspect", "some-flow/etl.py", "-o", "json").json["name"] == "etl.py"
    listed = followed("deployments", "list", "--sort", "name", "-o", "json").json
    assert [row["name"] for row in listed] == sorted((row["name"] for row in listed), key=str.casefold)
    for command in (("trigger",), ("deployments", "show"), ("runs", "list", "--deployment"), ("execute",)):
        answer = followed(*command, "ORDERS.V2")
        assert (answer.code, answer.out) == (2, "")
        assert "hint: Did you mean Orders.v2?" in answer.err
    monkeypatch.chdir(followed.repository.path)
    shell = ShellComplete(cli, {}, "controller", COMPLETION_VARIABLE)
    for incomplete in ("Ord", "oRD"):
        assert [item.value for item in shell.get_completions(["trigger"], incomplete)] == ["Orders.v2"]


def test_a_rename_that_changes_only_the_case_is_refused_and_its_hint_can_be_followed(followed: Followed) -> None:
    def apply(name: str) -> None:
        followed.commit({"deployments/cubes.yaml": f"name: {name}\ncommand: ['true']\n"})

    apply("cubes")
    run = followed("trigger", "cubes", "--wait", "-o", "json").json["run_id"]
    apply("Cubes")
    shown = followed("deployments", "show", "cubes", "-o", "json").json
    assert (shown["sync"], shown["findings"][0]["code"]) == ("Invalid", "CaseOnlyRename")
    hint = "write name: cubes, or a name that differs in more than case and renamed_from: cubes"
    assert hint in followed("deployments", "show", "cubes").out
    assert hint in followed("plan").out
    apply("cubes")
    assert followed("deployments", "show", "cubes", "-o", "json").json["sync"] == "Synced"
    apply("Cubes-2\nrenamed_from: cubes")
    apply("Cubes\nrenamed_from: Cubes-2")
    assert [each["id"] for each in followed("runs", "list", "--deployment", "Cubes", "-o", "json").json] == [run]


def test_plan_compares_names_with_the_active_ones_however_many_commits_ago_one_was_renamed(
    followed: Followed,
) -> None:
    def apply(name: str, version: int) -> None:
        followed.commit({"deployments/roots.yaml": f"name: {name}\ncommand: ['true']\nversion: '{version}'\n"})

    apply("roots", 1)
    for version in (2, 3, 4):
        apply("Roots", version)
        assert "the name Roots differs only in case from roots, which is active" in followed("plan").out
    apply("roots", 5)
    plan = followed("plan", "-o", "json").json
    assert "CaseOnlyRename" not in [finding["code"] for finding in plan["findings"]]


def test_the_old_name_of_a_renamed_deployment_names_the_new_one(followed: Followed) -> None:
    followed.commit({"deployments/moved.yaml": NIGHTLY.replace("NAME", "before-it")})
    renamed = NIGHTLY.replace("NAME", "after-it\nrenamed_from: before-it")
    followed.commit(
        {"deployments/moved.yaml": renamed, "deployments/new.yaml": "name: new\nrenamed_from: x\ncommand: [ls]\n"}
    )
    for arguments in (("deployments", "show"), ("runs", "list", "--deployment"), ("next",), ("trigger",)):
        answer = followed(*arguments, "before-it")
        assert answer.code == 2
        assert "There is no deployment 'before-it': it was renamed to after-it." in answer.err
        assert "hint: Use after-it" in answer.err
    assert "renamed" not in followed("next", "x").err
