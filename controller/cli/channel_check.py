"""The findings of `controller validate` about channels: those that rules name and the operator's file does not declare.

`cli.validate` calls it.
"""

from pathlib import Path

import click

from controller.cli.manifest_files import Reading
from controller.clock import SystemClock
from controller.errors import UsageError
from controller.model.findings import Finding, Severity
from controller.notification_settings import CONFIG
from controller.settings import configuration_directory


def find_undeclared(reading: Reading, environment: str | None, config: Path | None) -> list[Finding]:
    """Return a warning for each undeclared channel, and print which file was used.

    `config` is the file of the operator; None for the default one, which does not have to exist or to be valid, and is
    read only if a rule names a channel.

    Raises:
        UsageError: `config` is missing or invalid.
    """
    deployments = [deployment for deployment in reading.desired.deployments.values() if deployment.notify]
    file = configuration_directory() / CONFIG if config is None else config
    if config is None and not (deployments and file.is_file()):
        return []
    # Imported here because most deployments have no rules of notifications.
    from controller.manifests.channel_findings import undeclared_channels
    from controller.manifests.notify_file import describe_errors, read_notify_file

    try:
        settings, findings = read_notify_file(file.read_bytes(), str(file))
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror or error}.") from None
    invalid = [finding for finding in findings if finding.severity is Severity.ERROR]
    if invalid and config is not None:
        raise UsageError(describe_errors(invalid), hint=invalid[0].hint if len(invalid) == 1 else None)
    if invalid:
        click.echo(f"Channels are not checked: {invalid[0]}.", err=True)
        return []
    click.echo(f"Channels are checked with {file}.", err=True)
    undeclared = undeclared_channels(
        deployments,
        settings.channels,
        config=str(file),
        read=reading.contents.get,
        environment=environment,
        now=SystemClock().now(),
    )
    return list(undeclared)
