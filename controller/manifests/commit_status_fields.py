"""Reads `commit_status` in `notify.yaml`: where the results of commits are reported to. `notify_file` calls it."""

from controller.errors import UsageError
from controller.git_servers import check_web_page, is_unencrypted
from controller.manifests.notify_fields import read_secret
from controller.manifests.validation_context import ValidationContext
from controller.model.commit_statuses import COMMIT_STATUS_CHANNEL, CommitStatusSettings, Provider
from controller.model.findings import Severity

_KEY = "commit_status"


def read_commit_status(context: ValidationContext) -> CommitStatusSettings | None:
    """Return what the file declares; None if it declares nothing, or after adding a problem."""
    if _KEY not in context.value or not context.is_clean((_KEY,)):
        return None
    fields = context.value[_KEY]
    declared = CommitStatusSettings(
        provider=Provider(fields["provider"]),
        token=read_secret(fields["token"]),
        url=fields.get("url"),
        context=fields.get("context"),
    )
    if declared.url is not None:
        _check_url(context, declared.provider, declared.url)
    if COMMIT_STATUS_CHANNEL in context.valid_fields("channels"):
        message = f"the name {COMMIT_STATUS_CHANNEL} is reserved for {_KEY}"
        hint = "rename the channel"
        context.add("ReservedChannel", message, ("channels", COMMIT_STATUS_CHANNEL), hint=hint, at_key=True)
    return declared if context.is_clean((_KEY,)) else None


def _check_url(context: ValidationContext, provider: Provider, url: str) -> None:
    path = (_KEY, "url")
    try:
        check_web_page(provider, url)
    except UsageError as error:
        context.add("InvalidUrl", error.message, path, hint=error.hint)
        return
    if is_unencrypted(url):
        hint = "write https://… if the server supports it"
        context.add("PlainHttp", "the token is sent without encryption", path, hint=hint, severity=Severity.WARNING)
