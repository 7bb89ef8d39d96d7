"""The list of declared deployments: its order, descriptions of schedules, and next fire times."""

from datetime import timedelta

from controller.cli.formats.declared_list import render
from controller.manifests.reader import ManifestReader
from controller.model.snapshots import ManifestFile
from controller.queries.declared_deployments import DeclaredView, declared_views
from tests.conftest import NOW

FILE = """\
name: nightly
command: ['true']
schedules:
- {id: a, cron: "30 4 * * mon-fri", timezone: Europe/Berlin}
- {id: b, interval: 6h, jitter: 5m}
- {id: c, at: 2026-01-01T09:00}
- {id: d, interval: 1h, suspend: true}
---
name: asleep
command: ['true']
schedule: {id: e, interval: 5m}
suspend: true
---
name: bad
command: 5
---
name: by-hand
command: ['true']
---
name: load
command: ['true']
after: nightly
"on":
- files: {path: /srv/inbox, pattern: "*.csv"}
- webhook: {name: shop, secret: {env: SHOP}}
"""


def declared() -> list[DeclaredView]:
    texts = {"deployments/b.yaml": FILE, "deployments/a.yaml": "name: zebra\ncommand: ['true']\n"}
    files = [ManifestFile(path=path, content=text.encode(), digest=path) for path, text in texts.items()]
    return declared_views(ManifestReader().read(files, NOW), NOW)


def test_valid_deployments_are_listed_by_file_and_line() -> None:
    assert [(view.file, view.line, view.name) for view in declared()] == [
        ("deployments/a.yaml", 1, "zebra"),
        ("deployments/b.yaml", 1, "nightly"),
        ("deployments/b.yaml", 9, "asleep"),
        ("deployments/b.yaml", 17, "by-hand"),
        ("deployments/b.yaml", 20, "load"),
    ]


def test_only_active_schedules_have_a_next_fire_time_without_jitter() -> None:
    nightly, asleep = declared()[1:3]
    assert [(schedule.id, schedule.suspended, schedule.next_fire_time) for schedule in nightly.schedules] == [
        ("a", False, NOW.replace(day=2, hour=2, minute=30)),
        ("b", False, NOW + timedelta(hours=6)),
        ("c", False, None),
        ("d", True, None),
    ]
    assert [(schedule.suspended, schedule.next_fire_time) for schedule in asleep.schedules] == [(False, None)]


def test_the_list_as_text() -> None:
    assert render(declared()).splitlines() == [
        "deployments/a.yaml:1: zebra",
        "    no schedule",
        "deployments/b.yaml:1: nightly",
        "    at 04:30, Monday to Friday, Europe/Berlin; next at 2026-06-02 04:30:00+02:00",
        "    every 6 hours, up to 5 minutes later; next at 2026-06-01 18:00:00 UTC",
        "    once at 2026-01-01 09:00, UTC; no more fire times",
        "    every hour (suspended)",
        "deployments/b.yaml:9: asleep (suspended)",
        "    every 5 minutes",
        "deployments/b.yaml:17: by-hand",
        "    no schedule",
        "deployments/b.yaml:20: load",
        "    after nightly (succeeded)",
        "    for new files in /srv/inbox that match *.csv",
        "    for requests to /hooks/shop",
    ]
