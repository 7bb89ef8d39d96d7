"""The scripts that draw the pictures of docs/images use names that exist."""

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs/images").glob("make_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_imports_of_picture_scripts_exist(script: Path) -> None:
    assert callable(runpy.run_path(str(script))["main"])
