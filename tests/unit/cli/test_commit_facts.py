"""Commands show who changed what, and why: the subject, the author and the time of commits."""

from tests.unit.cli.conftest import Followed


def test_commands_show_subject_and_author_of_commits(followed: Followed) -> None:
    followed.deploy_sums("blamed")
    head = followed.repository.head()
    run_id = followed("trigger", "blamed", "--wait", "-o", "json").json["id"]
    for arguments in (("status",), ("deployments", "show", "blamed"), ("runs", "show", run_id)):
        answer = followed(*arguments)
        assert f'{head[:9]} "change"' in answer.out, arguments
        assert "Ada" in answer.out, arguments
    facts = {"sha": head, "author": "Ada", "subject": "change"}
    assert followed("status", "-o", "json").json["commit"].items() >= facts.items()
    assert followed("deployments", "show", "blamed", "-o", "json").json["changed_in"].items() >= facts.items()
    blame = followed("deployments", "show", "blamed", "--blame").out.partition("CHANGED IN")[2]
    assert "deployments/blamed.yaml:5" in blame
    assert f'{head[:9]} "change"' in blame
    fields = followed("deployments", "show", "blamed", "--blame", "-o", "json").json["fields"]
    assert [field["changed_in"]["sha"] for field in fields if field["name"] == "tags"] == [head]
    plan = followed("plan")
    assert '"change" by Ada' in plan.out
    assert followed("plan", "-o", "json").json["commit"].items() >= facts.items()
    assert '"change" by Ada' in followed("plan", "--base", "HEAD", "-o", "markdown").out
