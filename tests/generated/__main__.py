"""Write the generated files: `python -m tests.generated`."""

from pathlib import Path

from benchmarks import page
from tests.generated import client_shapes, findings_page, option_tables

ROOT = Path(__file__).parents[2]
GENERATORS = (client_shapes, findings_page, option_tables, page)


def main() -> None:
    """Write each file."""
    for generator in GENERATORS:
        (ROOT / generator.FILE).write_text(generator.generate(), encoding="utf-8")


if __name__ == "__main__":
    main()
