"""The generated files are those that `make generate` would write."""

from types import ModuleType

import pytest

from tests.generated.__main__ import GENERATORS, ROOT


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: generator.FILE)
def test_a_generated_file_is_current(generator: ModuleType) -> None:
    assert (ROOT / generator.FILE).read_text(encoding="utf-8") == generator.generate(), "run `make generate`"
