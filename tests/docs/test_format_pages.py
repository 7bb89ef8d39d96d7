"""The examples in the pages are valid and complete, and fire at the documented times."""

import json
import re
from datetime import datetime, timedelta

import pytest

from controller.manifests.reader import ManifestReader
from controller.manifests.schema_validation import deployment_schema_text
from controller.model.schedules import Cron, Dst, Gap, Interval, Repeat, RRule, Rule, Schedule
from controller.model.snapshots import ManifestFile
from controller.schedules import next_fire_times, parse_duration, parse_time
from tests.docs.pages import DOCS, ROOT, code_blocks

NOW = datetime.fromisoformat("2026-06-01T12:00:00+00:00")
NEW_YORK = "America/New_York"
VALID = [
    (page, block)
    for page in (ROOT / "README.md", DOCS / "format.md", DOCS / "python.md", DOCS / "triggers.md")
    for block in code_blocks(page.read_text(encoding="utf-8"), "yaml")
]


@pytest.mark.parametrize("block", [block for _, block in VALID])
def test_a_yaml_example_is_valid(block: str) -> None:
    file = ManifestFile(path="deployments/a.yaml", content=block.encode(), digest="1")
    desired = ManifestReader().read([file], NOW)
    assert desired.findings == ()
    assert len(desired.deployments) >= 1


def test_the_pages_have_yaml_examples() -> None:
    assert {page.name for page, _ in VALID} == {"README.md", "format.md", "python.md", "triggers.md"}


def test_every_key_of_the_schema_is_in_an_example() -> None:
    schema = json.loads(deployment_schema_text())
    properties = [*schema["properties"], *schema["definitions"]["schedule"]["properties"]]
    text = "\n".join(code_blocks((DOCS / "format.md").read_text(encoding="utf-8"), "yaml"))
    assert [key for key in properties if not re.search(rf"\b{key}:", text)] == []


def test_every_key_of_a_schedule_is_explained() -> None:
    schema = json.loads(deployment_schema_text())
    text = (DOCS / "schedules.md").read_text(encoding="utf-8")
    assert [key for key in schema["definitions"]["schedule"]["properties"] if f"`{key}`" not in text] == []


def rule_of(text: str) -> Rule:
    kind, _, value = text.partition(": ")
    if kind == "cron":
        return Cron(expression=value.strip('"'))
    if kind == "rrule":
        return RRule(text=value)
    anchor = parse_time("2021-03-01T09:00") if value == "1d" else None
    return Interval(every=parse_duration(value), anchor=anchor)


def policy_of(text: str) -> Dst:
    key, _, value = text.strip("` ").partition(": ")
    if key == "gap":
        return Dst(gap=Gap(value))
    return Dst(repeat=Repeat(value)) if key == "repeat" else Dst()


def rows_around_the_clock_changes() -> list[tuple[str, str, str, str]]:
    table = (DOCS / "schedules.md").read_text(encoding="utf-8").partition("| schedule | `dst` | around | fires |")[2]
    rows = [line.strip("|").split("|") for line in table.splitlines()[2:] if line.startswith("|")]
    return [(row[0].strip(), row[1].strip(), row[2].strip(), row[3].strip()) for row in rows]


@pytest.mark.parametrize(("schedule", "dst", "around", "fires"), rows_around_the_clock_changes())
def test_the_table_of_clock_changes_matches_the_computed_times(
    schedule: str, dst: str, around: str, fires: str
) -> None:
    said = re.findall(r"`([^`]+)`", schedule)[0]
    promised = re.findall(r"\d\d:\d\d", fires.split(", which")[0].split(": ")[0])
    start = {"7 Nov": "2021-11-07T03:59+00:00", "14 Mar": "2021-03-14T04:59+00:00"}
    after = datetime.fromisoformat(start.get(around, "2021-03-13T04:59+00:00"))
    declared = Schedule(id="a", rule=rule_of(said), timezone=NEW_YORK, dst=policy_of(dst))
    found = [instant for instant, _ in next_fire_times([declared], after, max(1, len(promised)))]
    if promised:
        assert [f"{instant:%H:%M}" for instant in found] == promised
    else:
        assert fires == "not at all"
        assert found[0] - after > timedelta(hours=24)


def test_the_table_of_clock_changes_has_all_rows() -> None:
    assert len(rows_around_the_clock_changes()) == 14
