"""Explanations of errors in environments and in controller.yaml."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

OVERLAYS = (
    Explanation(
        code="UnknownEnvironment",
        summary="an environment that is not declared",
        meaning="Neither `controller.yaml` nor any deployment declares the environment selected with `--environment`. "
        "The hint suggests the most similar one. Nothing is applied, and the active deployments do not change.",
        remedy="Correct the name, or declare the environment under `environments`.",
    ),
    Explanation(
        code="OtherProject",
        summary="`controller.yaml` names another project",
        meaning="`project` in `controller.yaml` differs from the project whose state the controller uses. The "
        "controller applies nothing, and the active deployments do not change.",
        remedy="Correct the name. If the project has a new name, restart the controller with `--project`.",
    ),
    Explanation(
        code="InvalidOverlay",
        summary="an overlay contains a key that is not allowed",
        meaning="An overlay under `environments` changes the name of its deployment or contains `environments` itself.",
        remedy="Write only the keys that differ, in the same format as in the deployment.",
        wrong=NIGHTLY + "environments:\n  staging: {name: nightly-staging}\n",
        right=NIGHTLY + "environments:\n  staging: {parameters: {region: test}}\n",
    ),
    Explanation(
        code="ProjectFileIgnored",
        summary="a controller.yaml that is not at the root",
        severity=Severity.WARNING,
        meaning="A warning: there is a `controller.yaml` in a folder of the repository. Only the one at the root is "
        "read, also with `--path`.",
        remedy="Move its settings to `controller.yaml` at the root.",
    ),
    Explanation(
        code="UnknownQueue",
        summary="a queue that is not declared",
        meaning="`controller.yaml` does not declare a queue of this name. The hint suggests the most similar one. The "
        "queue `default` always exists.",
        remedy="Correct the name, or declare the queue and its limit under `queues`.",
        wrong=NIGHTLY + "queue: heavy\n",
        right=NIGHTLY + "queue: default\n",
    ),
)
