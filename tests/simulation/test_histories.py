"""Many short simulated histories with faults at every step, in which promises 1 to 3 and 5 hold.

`make simulate` runs more of them.
"""

import os
import shutil
from pathlib import Path

import pytest

from controller.store import Store
from tests.simulation.history import History

FIRST = int(os.environ.get("SIMULATE_FROM", "0"))  # noqa: TID251
SEEDS = range(FIRST, FIRST + int(os.environ.get("SIMULATE_SEEDS", "100")))  # noqa: TID251
STEPS = int(os.environ.get("SIMULATE_STEPS", "30"))  # noqa: TID251


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, which tests copy."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    Store.open(path).close()
    return path


def play(seed: int, empty: Path, directory: Path) -> str:
    directory.mkdir()
    shutil.copy(empty, directory / "state.db")
    history = History(seed, directory / "state.db", STEPS)
    try:
        return history.run()
    except BaseException as error:
        error.add_note(f"seed {seed}:\n" + "\n".join(history.trace[-40:]))
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_keeps_every_promise(seed: int, empty: Path, tmp_path: Path) -> None:
    play(seed, empty, tmp_path / "run")


def test_a_seed_always_produces_the_same_history(empty: Path, tmp_path: Path) -> None:
    assert play(7, empty, tmp_path / "one") == play(7, empty, tmp_path / "two")
