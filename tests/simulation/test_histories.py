"""A few short simulated histories with faults at every step, in which promises 1 to 3 and 5 hold.

`make simulate` runs thousands of them.
"""

import shutil
from pathlib import Path

import pytest

from tests.simulation.history import History
from tests.thoroughness import requested, scaled

FIRST = requested("SIMULATE_FROM", 0)
SEEDS = range(FIRST, FIRST + requested("SIMULATE_SEEDS", scaled(30)))
STEPS = requested("SIMULATE_STEPS", 30)


def play(seed: int, migrated_database: Path, directory: Path) -> str:
    directory.mkdir()
    shutil.copy(migrated_database, directory / "state.db")
    history = History(seed, directory / "state.db", STEPS)
    try:
        return history.run()
    except BaseException as error:
        error.add_note(f"seed {seed}:\n" + "\n".join(history.trace[-40:]))
        raise


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_history_violates_no_invariant(seed: int, migrated_database: Path, tmp_path: Path) -> None:
    play(seed, migrated_database, tmp_path / "run")


def test_a_seed_always_produces_the_same_history(migrated_database: Path, tmp_path: Path) -> None:
    first = play(7, migrated_database, tmp_path / "run")
    shutil.rmtree(tmp_path / "run")  # the second one watches a folder with the same path
    assert play(7, migrated_database, tmp_path / "run") == first
