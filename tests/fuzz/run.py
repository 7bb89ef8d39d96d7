"""Fuzz one target: `python -m tests.fuzz.run manifests [libFuzzer's arguments]`.

The tests do so for some seconds. To search for longer, give it an empty folder for what it finds, then the corpus:

    python -m tests.fuzz.run manifests -max_total_time=600 -timeout=10 /tmp/found tests/fuzz/corpus/manifests

The input of a crash is written to a file `crash-…`: fix the cause, then add the file to the corpus.
"""

import sys

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["controller.schedules", "controller.manifests", "cronsim", "yaml"]):
    from tests.fuzz import targets


def main(name: str, arguments: list[str]) -> None:
    """Never returns: libFuzzer ends the process, with 0 when nothing was found."""
    atheris.Setup([sys.argv[0], *arguments], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
