"""Arbitrary bytes never make the loader or the calendar raise: the corpus, then some seconds of atheris from it.

A crash fails. Running out of time does not: how far the search gets depends on the machine.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from tests.thoroughness import THOROUGH, scaled

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = ROOT / "tests" / "examples"
INPUTS = [(name, path) for name in TARGETS for path in sorted((CORPUS / name).iterdir())]
SECONDS = 3
GIVE_UP_SECONDS = 120


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=lambda part: part if isinstance(part, str) else part.name)
def test_the_fuzz_corpus_passes(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


@pytest.mark.parametrize(
    "path", sorted(path for path in EXAMPLES.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_the_fuzz_targets_accept_the_examples(path: Path) -> None:
    TARGETS["manifests"](path.read_bytes())


@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(TARGETS) if THOROUGH else ["manifests"])
def test_a_few_seconds_of_fuzzing_find_no_failure(name: str, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    command = [
        *(sys.executable, "-m", "tests.fuzz.run", name),
        *(
            "-seed=20260505",
            f"-runs={scaled(20_000)}",
            f"-max_total_time={SECONDS}",
            "-max_len=4096",
            "-rss_limit_mb=1024",
        ),
        *(f"-artifact_prefix={tmp_path}/", str(found), str(CORPUS / name)),
    ]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=GIVE_UP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return
    crashes = {path.name: path.read_bytes()[:400] for path in tmp_path.glob("crash-*")}
    assert done.returncode == 0, f"{crashes}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert "INITED" in done.stderr
