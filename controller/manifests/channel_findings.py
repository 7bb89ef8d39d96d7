"""Makes the findings about notification rules of deployments whose channels the operator does not declare.

`controller validate` calls it if it has the operator's file. The controller itself reports such a channel at run time.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from controller.manifests.field_locations import declared_place
from controller.manifests.yaml.nodes import Path, Problem
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.text import did_you_mean, shorten


def undeclared_channels(
    deployments: Iterable[Deployment],
    channels: Collection[str],
    *,
    config: str,
    read: Callable[[str], bytes | None],
    environment: str | None,
    now: datetime,
) -> Iterator[Finding]:
    """Yield a warning for each channel in a rule of a deployment that is not among `channels`.

    `config` is the path of the file that declares them. `read` returns the content of a manifest by its path.
    """
    for deployment in deployments:
        for index, rule in enumerate(deployment.notify):
            for position, name in enumerate(rule.to):
                if name in channels:
                    continue
                paths: list[Path] = [("notify", index, "to", position), ("notify", index, "to")]
                paths += [("notify", "to", position), ("notify", "to"), ("notify",)]
                place, path = declared_place(deployment, paths, read, environment, now)
                hint = did_you_mean(name, channels) or f"channels of that file: {', '.join(sorted(channels)) or 'none'}"
                problem = Problem(
                    code="ChannelNotDeclared",
                    message=f"{config} declares no channel {shorten(name)}, so nothing is sent to it",
                    place=place,
                    path=path,
                    hint=hint,
                    severity=Severity.WARNING,
                )
                yield problem.finding(deployment.file, deployment.name)
