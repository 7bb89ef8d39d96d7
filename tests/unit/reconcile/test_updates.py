"""A pass that visits only what a commit has changed leaves nothing to do for one that compares everything."""

import random

import pytest

from controller.manifests.reader import ManifestReader
from controller.reconcile.plan import make_plan
from controller.sources.directory.source import DirectorySource
from controller.store import dependencies
from tests.unit.reconcile.conftest import World, hourly

VERSIONS = (
    "",
    "tags: [x]\n",
    "suspend: true\n",
    "after: a\n",
    "after: [b, c]\n",
    "renamed_from: a\n",
    "enabled: false\n",
    "prune: disabled\n",
    "unknown: 5\n",
    None,
)


@pytest.mark.parametrize("seed", range(8))
def test_a_pass_that_visits_only_changes_leaves_nothing_to_do(world: World, seed: int) -> None:
    choice = random.Random(seed)
    world.put(**{name: hourly(name) for name in "abcd"})
    for number in range(12):
        name, version = choice.choice("abcd"), choice.choice(VERSIONS)
        path = world.root / f"deployments/{name}.yaml"
        if version is None:
            path.unlink(missing_ok=True)
            world.put()
        else:
            world.put(**{name: hourly(name, description=str(number)) + version})
        source = DirectorySource(world.root, path="deployments")
        snapshot = source.read(source.observe())
        code = source.code(snapshot.revision)
        desired = ManifestReader().read(snapshot.files, world.clock.now(), snapshot.project, code)
        plan = make_plan(snapshot, desired, world.entries())
        assert not plan.changes_anything
        settled = world.reconciler._settled
        assert settled is not None
        assert {each.entry.name for each in plan.keep} == settled.kept
        with world.store.read() as tx:
            upstreams = dependencies.find_all(tx)
        recorded = {(name, upstream) for name, some in upstreams.items() for upstream in some}
        assert recorded == {(name, upstream) for upstream, names in plan.dependants.items() for name in names}
