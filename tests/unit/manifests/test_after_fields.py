"""`after` is read in each of its spellings, and every mistake in it is reported where it is."""

import pytest

from controller.model.triggers import After, OnRedo, Upstream, UpstreamOutcome
from tests.unit.manifests.conftest import Read

GOOD = "name: a\nflow: f.py:m\n"
INGEST = Upstream(deployment="ingest")
UPSTREAMS = "---\nname: ingest\ncommand: [a]\n---\nname: audit\ncommand: [a]\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", After()),
        ("after: ingest", After(upstreams=(INGEST,))),
        ("after: [ingest]", After(upstreams=(INGEST,))),
        ("after: {deployment: ingest}", After(upstreams=(INGEST,))),
        ("after: {deployments: [ingest]}", After(upstreams=(INGEST,))),
        ("after: {deployments: [ingest], any: true}", After(upstreams=(INGEST,), any=True)),
        (
            "after: [{deployment: audit, on: finished, on_redo: run}, ingest]",
            After(
                upstreams=(
                    Upstream(deployment="audit", on=UpstreamOutcome.FINISHED, on_redo=OnRedo.RUN),
                    INGEST,
                )
            ),
        ),
    ],
)
def test_every_spelling_is_read(read: Read, text: str, after: After) -> None:
    state = read(f"{GOOD}{text}\n{UPSTREAMS}")
    assert state.findings == ()
    assert state.deployments["a"].after == after


@pytest.mark.parametrize(
    ("text", "code", "path", "message", "hint"),
    [
        ("after: a", "DependencyCycle", "$.after", "a can't wait for itself", "remove it, or name another deployment"),
        ("after: [ingest, ingest]", "DuplicateUpstream", "$.after[1]", "ingest is listed twice", "remove one of them"),
        ("after: 5", "WrongType", "$.after", "after must be a string, a list or a mapping, not a number (5)", None),
        ("after: []", "InvalidValue", "$.after", "after must not be empty", None),
        ("after: {any: true}", "MissingKey", "$.after", "exactly one of deployment or deployments is required", None),
        (
            "after: {deployment: ingest, any: true}",
            "ConflictingKeys",
            "$.after.any",
            "any requires deployments",
            None,
        ),
        (
            "after: [{deployment: ingest, on: success}]",
            "InvalidValue",
            "$.after[0].on",
            "on must be succeeded, failed or finished, not 'success'",
            "did you mean succeeded?",
        ),
        (
            "after: [{deployment: ingest, on: completed}]",
            "InvalidValue",
            "$.after[0].on",
            "on must be succeeded, failed or finished, not 'completed'",
            "did you mean finished?",
        ),
        (
            "after: [{name: ingest}]",
            "UnknownKey",
            "$.after[0].name",
            "unknown key `name`",
            "write deployment: ingest",
        ),
        (
            "depends_on: [ingest, audit]",
            "UnknownKey",
            "$.depends_on",
            "unknown key `depends_on`",
            "write after: [ingest, audit]",
        ),
        ("needs: ingest", "UnknownKey", "$.needs", "unknown key `needs`", "write after: ingest"),
    ],
)
def test_a_mistake_is_reported_where_it_is(
    read: Read, text: str, code: str, path: str, message: str, hint: str | None
) -> None:
    state = read(f"{GOOD}{text}\n{UPSTREAMS}")
    reported = [(finding.code, finding.path, finding.message) for finding in state.findings]
    assert (code, path, message) in reported
    if hint is not None:
        assert next(finding.hint for finding in state.findings if finding.path == path) == hint
