"""docs/sources.md names every reason for which a source can't be read, and every variable for credentials."""

import re

from controller.errors import SOURCE_REASONS
from controller.manifests.notify_file import read_notify_file
from controller.model.commit_statuses import Provider
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "sources.md").read_text(encoding="utf-8")


def test_the_page_explains_exactly_the_existing_reasons() -> None:
    table = PAGE.partition("## When a source can't be read")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == SOURCE_REASONS


def test_the_page_has_a_valid_example_for_each_git_server() -> None:
    examples = re.findall(r"commit_status: \{provider.*\}(?=`? ?\|?$)", PAGE, re.MULTILINE)
    read = [read_notify_file(example.encode(), "notify.yaml") for example in examples]
    assert [findings for _, findings in read] == [()] * len(examples)
    assert {settings.commit_status.provider for settings, _ in read if settings.commit_status} == set(Provider)


def test_the_page_lists_every_credential_variable() -> None:
    settings = (ROOT / "controller" / "settings.py").read_text(encoding="utf-8")
    assert 'f"CONTROLLER_GIT_{name}_FILE"' in settings
    named = set(re.findall(r"CONTROLLER_GIT_[A-Z_]+", PAGE))
    assert named == {f"CONTROLLER_GIT_{name}" for name in ("USERNAME", "PASSWORD", "PASSWORD_FILE", "CA_FILE")}
