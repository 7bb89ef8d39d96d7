"""Runs the complete minute scan: every zone with a clock change in a year, every policy, every kind of rule.

Run `python -m tests.unit.schedules.full [year …]` (2026 by default; some minutes a year). The tests take one zone of
each kind. Exits with 1 after any disagreement.
"""

import sys

from tests.unit.schedules import oracle


def main(years: list[int]) -> int:
    failures = 0
    for year in years:
        names = oracle.zones(year)
        for name in names:
            for change in oracle.changes(name, year):
                around = oracle.stretch(name, change)
                for dst in oracle.POLICIES:
                    for minute, hour in oracle.TIMES:
                        for wrong in oracle.disagreements(around, minute, hour, dst):
                            failures += 1
                            sys.stdout.write(f"{wrong}\n")
            oracle.stretch.cache_clear()
        sys.stdout.write(f"{year}: {len(names)} zones, {failures} disagreements\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main([int(year) for year in sys.argv[1:]] or [2026]))
