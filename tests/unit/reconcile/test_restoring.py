"""After a restart, recorded deployments fire before the source has been read, and before they are built."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.manifests.build import build_deployment
from controller.model.deployments import Deployment
from controller.model.status import InventoryEntry
from controller.model.stored_documents import StoredDocument
from controller.reconcile import restored_agendas
from controller.store import Transaction, inventory, source_status
from tests.unit.reconcile.conftest import World


def declare(world: World, count: int) -> None:
    schedule = "schedule: {cron: '0 3 * * *'}"
    world.put(**{f"d{number}": f"name: d{number}\ncommand: ['true']\n{schedule}\n" for number in range(count)})
    world.projected.clear()


def test_recorded_deployments_have_jobs_before_the_source_is_read(world: World) -> None:
    declare(world, 3)
    shutil.rmtree(world.root)
    world.restart()
    world.reconciler.restore()
    assert world.projected.keys() == {"d0", "d1", "d2"}
    assert world.reconciler.run_pass().error is not None
    assert world.projected.keys() == {"d0", "d1", "d2"}


def test_suspended_deployments_and_those_of_a_python_spec_are_not_restored(world: World) -> None:
    declare(world, 2)
    world.put(d1="name: d1\ncommand: ['true']\nsuspend: true\nschedule: {cron: '0 3 * * *'}\n")
    with world.store.write() as tx:
        inventory.save(tx, [replace(inventory.entries(tx)["d0"], name="spec", file="deployments/spec.py")])
    world.restart()
    world.projected.clear()
    world.reconciler.restore()
    assert world.projected.keys() == {"d0"}


def test_no_deployment_is_built_to_restore_the_jobs_or_by_a_first_pass_without_changes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world, 30)
    built: list[str] = []

    def build(document: Mapping[str, Any], file: str, line: int) -> Deployment:
        built.append(str(document["name"]))
        return build_deployment(document, file, line)

    monkeypatch.setattr("controller.manifests.active_deployments.build_deployment", build)
    world.restart()
    world.projected.clear()
    world.reconciler.restore()
    restored = dict(world.projected)
    assert (len(restored), built) == (30, [])
    world.reconciler.run_pass()
    assert (world.projected, built) == (restored, [])
    read = world.reconciler._reader._state.deployments
    assert all(entry.document is read[name].document for name, entry in world.reconciler._recorded.items())


def test_restoring_stops_when_the_controller_does(world: World) -> None:
    declare(world, 3)
    world.restart()
    world.projected.clear()
    world.reconciler.restore(lambda: True)
    assert world.projected == {}


def test_restoring_uses_cursors_corrected_after_a_clock_jump(world: World) -> None:
    declare(world, 1)
    with world.store.write() as tx:
        inventory.advance_cursors(tx, ["d0"], world.clock.now() + timedelta(days=3))
    world.restart()
    with world.store.write() as tx:
        inventory.rewind_cursors(tx, world.clock.now(), world.clock.now())
    world.reconciler.restore()
    assert world.projected["d0"].after == world.clock.now()


@pytest.mark.parametrize("recorded", ["elsewhere", None])
def test_deployments_from_another_location_do_not_fire_before_a_pass_has_applied(
    world: World, recorded: str | None
) -> None:
    declare(world, 1)
    with world.store.write() as tx:
        status = source_status.find(tx)
        assert status is not None
        source_status.save(tx, replace(status, followed=recorded, repo="/another"))
    deployments = world.root / "deployments"
    deployments.rename(world.root / "away")
    world.restart()
    world.reconciler.restore()
    assert world.reconciler.run_pass().error is not None
    assert world.projected == {}
    (world.root / "away").rename(deployments)
    world.reconciler.run_pass()
    assert world.projected.keys() == {"d0"}


def test_an_unreadable_record_does_not_keep_others_from_firing(world: World) -> None:
    declare(world, 2)
    with world.store.write() as tx:
        entry = inventory.entries(tx)["d0"]
        inventory.save(tx, [replace(entry, document={"name": "d0"})])
    world.restart()
    world.reconciler.restore()
    assert world.projected.keys() == {"d1"}


def test_each_recorded_document_is_parsed_once_and_then_replaced_by_the_declared_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world, 5)
    parsed: list[StoredDocument] = []
    parse = StoredDocument.parse

    def recording(document: StoredDocument) -> dict[str, Any]:
        parsed.append(document)
        return parse(document)

    monkeypatch.setattr(StoredDocument, "parse", recording)
    world.restart()
    assert not parsed
    world.reconciler.restore()
    assert len(parsed) == len({id(document) for document in parsed}) == 5
    world.reconciler.run_pass()
    assert len(parsed) == 5
    assert not any(isinstance(entry.document, StoredDocument) for entry in world.reconciler._recorded.values())


def test_deployments_that_were_due_last_fire_before_the_others_are_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world, 30)
    with world.store.write() as tx:
        often = inventory.entries(tx)["d7"]
        inventory.save(tx, [replace(often, cursor=often.cursor + timedelta(hours=1))])
    monkeypatch.setattr(restored_agendas, "FIRST", 1)
    monkeypatch.setattr(restored_agendas, "BATCH", 20)
    read: list[list[str]] = []
    compact_entries = inventory.compact_entries

    def count(tx: Transaction, names: Collection[str] | None = None) -> dict[str, InventoryEntry]:
        entries = compact_entries(tx, names)
        read.append(list(entries))
        if len(read) == 2:
            assert world.projected.keys() == {"d7"}
        return entries

    monkeypatch.setattr(inventory, "compact_entries", count)
    world.restart()
    assert read == []  # a start reads no deployment before the engine runs
    world.projected.clear()
    world.reconciler.restore()
    assert [len(names) for names in read] == [1, 20, 9]
    assert len(world.projected) == 30
    world.reconciler.run_pass()
    assert len(read) == 3
