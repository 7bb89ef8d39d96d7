"""The findings of `controller validate --resolve`: requirements that the package index cannot resolve."""

from controller.cli.manifest_files import Reading
from controller.clock import SystemClock
from controller.manifests.resolution_findings import not_resolved, python_place, unresolvable
from controller.model.findings import Finding
from controller.python_environments.resolution import find_unresolvable
from controller.settings import UvSettings


def find_unresolved(reading: Reading, environment: str | None, settings: UvSettings) -> list[Finding]:
    """Return a finding for each deployment whose requirements can't be resolved. Raises PythonBuildError without uv."""
    clock = SystemClock()
    deployments = reading.desired.deployments
    requests = {name: request for name, request in reading.desired.python_requests.items() if name in deployments}
    errors = find_unresolvable(requests.values(), settings, clock)
    findings = []
    for name, request in requests.items():
        error = errors.get(request.digest)
        if error is None:
            continue
        deployment = deployments[name]
        place = python_place(deployment, reading.contents.get, environment, clock.now())
        text = error.message.removesuffix(".")
        message = text if request.declared_at == deployment.file else f"{request.declared_at}: {text}"
        make = unresolvable if error.reason == "ResolveFailed" else not_resolved
        findings.append(make(deployment, message, error.hint, place))
    return findings
