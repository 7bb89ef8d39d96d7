"""Explanations of findings about upstream deployments: `after`, and parameters from the results of upstream runs."""

from controller.cli.formats.explained.entry import Explanation
from controller.model.findings import Severity

_INGEST = "name: ingest\nflow: flows/etl.py:main\n"
_REPORT = "---\nname: report\nflow: flows/report.py:main\n"

UPSTREAMS = (
    Explanation(
        code="UnknownUpstream",
        summary="`after` names a deployment that does not exist",
        meaning="No file declares the deployment that `after` names, or it is not enabled in the environment, so this "
        "one would wait for it for ever. The hint suggests the most similar name, or the new name of a renamed "
        "deployment.",
        remedy="Correct the name, declare or enable the deployment, or remove it from `after`.",
        wrong=_INGEST + _REPORT + "after: ingset\n",
        right=_INGEST + _REPORT + "after: ingest\n",
    ),
    Explanation(
        code="DependencyCycle",
        summary="deployments wait for each other",
        meaning="The deployments name each other under `after`, directly or through others, so none of them can run "
        "first. The message names the whole cycle, with the file and line of each `after`. None of its deployments is "
        "applied.",
        remedy="Remove one of the names from its `after`.",
        wrong=_INGEST + "after: report\n" + _REPORT + "after: ingest\n",
        right=_INGEST + _REPORT + "after: ingest\n",
    ),
    Explanation(
        code="DuplicateUpstream",
        summary="`after` names a deployment twice",
        meaning="The same deployment is listed twice under `after`.",
        remedy="Remove one of the entries. To accept every outcome of a run, write `on: finished`.",
        wrong=_INGEST + _REPORT + "after: [ingest, {deployment: ingest, on: failed}]\n",
        right=_INGEST + _REPORT + "after: {deployment: ingest, on: finished}\n",
    ),
    Explanation(
        code="ResultMayBeMissing",
        summary="a reference to a result that a run may not have",
        severity=Severity.WARNING,
        meaning="A warning: a parameter refers to the result of an upstream run. With `any: true`, a run that another "
        "upstream deployment starts does not have this result; with `on: failed`, no run has it. A run without the "
        "value fails.",
        remedy="Read `get_run_context().upstream` in the flow, or the file that `CONTROLLER_UPSTREAM` names in a "
        "command, which say what started the run.",
        wrong=_INGEST + "---\nname: alert\ncommand: [python, -m, alert]\nafter: {deployment: ingest, on: failed}\n"
        "parameters: {rows: {from: ingest.result.rows}}\n",
        right=_INGEST + "---\nname: alert\ncommand: [python, -m, alert]\nafter: {deployment: ingest, on: failed}\n",
    ),
)
