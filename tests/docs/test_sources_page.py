"""docs/sources.md names every reason for which a source can't be read, and every variable for credentials."""

import re

from controller.errors import SOURCE_REASONS
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "sources.md").read_text(encoding="utf-8")


def test_the_page_explains_exactly_the_existing_reasons() -> None:
    table = PAGE.partition("## When a source can't be read")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == SOURCE_REASONS


def test_the_page_lists_every_credential_variable() -> None:
    settings = (ROOT / "controller" / "settings.py").read_text(encoding="utf-8")
    assert 'f"CONTROLLER_GIT_{name}_FILE"' in settings
    named = set(re.findall(r"CONTROLLER_GIT_[A-Z_]+", PAGE))
    assert named == {f"CONTROLLER_GIT_{name}" for name in ("USERNAME", "PASSWORD", "PASSWORD_FILE", "CA_FILE")}
