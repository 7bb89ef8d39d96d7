"""What is wrong with environments and with controller.yaml. docs/findings.md says the same."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation

OVERLAYS = (
    Explanation(
        code="UnknownEnvironment",
        summary="an environment that is not declared",
        meaning="Neither `controller.yaml` nor any deployment declares the environment that was asked for with "
        "`--environment`. The hint names the nearest one. Nothing is applied, and what is in force stays.",
        remedy="Correct the name, or declare it under `environments`.",
    ),
    Explanation(
        code="InvalidOverlay",
        summary="an overlay changes what it may not change",
        meaning="An overlay under `environments` changes the name of its deployment, or has environments of its own.",
        remedy="Write only the keys that differ, in the form that they have in the deployment.",
        wrong=NIGHTLY + "environments:\n  staging: {name: nightly-staging}\n",
        right=NIGHTLY + "environments:\n  staging: {parameters: {region: test}}\n",
    ),
    Explanation(
        code="UnknownQueue",
        summary="a queue that is not declared",
        meaning="The `controller.yaml` declares no queue of this name. The hint names the nearest one. The queue "
        "`default` is always there.",
        remedy="Correct the name, or declare the queue and its limit under `queues`.",
        wrong=NIGHTLY + "queue: heavy\n",
        right=NIGHTLY + "queue: default\n",
    ),
)
