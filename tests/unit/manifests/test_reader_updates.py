"""A change of a few files updates the state of the last revision, with the same result as that of a new reader."""

from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.snapshots import ManifestFile
from tests.thoroughness import scaled
from tests.unit.manifests.conftest import NOW, manifest

GOOD = "name: {0}\ncommand: [echo, {0}]\n"
VERSIONS = (
    GOOD,
    "# moved\n" + GOOD,
    GOOD + "description: new\n",
    GOOD + "tags: [x]\n---\nname: {0}-2\ncommand: ['true']\n",
    GOOD + "after: a\n",
    GOOD + "after: [b, unknown]\n",
    GOOD + "renamed_from: a\n",
    GOOD + "renamed_from: old\n",
    GOOD + "enabled: false\n",
    GOOD + "environments: {{prod: {{enabled: false}}}}\n",
    GOOD + "python: {{requirements: [rich]}}\n",
    GOOD + "on: {{webhook: {{name: same}}}}\n",
    GOOD + "env: {{DB_PASSWORD: hunter22hunter}}\n",
    "name: twice\ncommand: ['true']\n",
    "name: {0}\n",
    "name: not {0} valid\ncommand: ['true']\n",
    "name: [\n",
    "",
)


def files_of(versions: dict[str, int]) -> list[ManifestFile]:
    return [
        manifest(f"deployments/{name}.yaml", VERSIONS[index].format(name)) for name, index in sorted(versions.items())
    ]


def contents(state: DesiredState) -> dict[str, object]:
    """Return all that the state has, with the order of its mappings."""
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    ordered = {name: list(values[name].items()) for name in ("deployments", "name_places", "python_requests")}
    return {**values, **ordered}


EDITS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, len(VERSIONS) - 1), min_size=1, max_size=2),
    max_size=6,
)


@settings(max_examples=scaled(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.lists(st.integers(0, len(VERSIONS) - 1), min_size=3, max_size=3), edits=EDITS)
@pytest.mark.parametrize("options", [{}, {"environment": "prod"}, {"all_environments": True}])
def test_an_update_gives_what_a_new_reader_reads(
    options: dict[str, object], start: list[int], edits: list[dict[str, int | None]]
) -> None:
    versions = dict(zip("abc", start, strict=True))
    reader = ManifestReader(**options)  # type: ignore[arg-type]
    for edit in ({}, *edits):
        versions = {name: index for name, index in {**versions, **edit}.items() if index is not None}
        state = reader.read(files_of(versions), NOW)
        new = ManifestReader(**options).read(files_of(versions), NOW)  # type: ignore[arg-type]
        assert contents(state) == contents(new)


def test_a_change_that_concerns_no_other_file_updates_the_state(reader: ManifestReader) -> None:
    versions = dict.fromkeys("abc", 0)
    for index, updates in ((0, 0), (1, 1), (2, 2), (4, 2), (0, 2), (2, 3), (13, 3), (16, 3), (2, 3), (0, 4)):
        state = reader.read(files_of({**versions, "b": index}), NOW)
        assert reader.updates == updates
    assert list(state.deployments) == ["a", "b", "c"]
