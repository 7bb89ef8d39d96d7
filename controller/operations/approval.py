"""Approves deletions that controller withholds."""

from concurrent.futures import Future

from controller.errors import NotFoundError, UsageError
from controller.model.status import Withheld
from controller.operations.context import OperationContext
from controller.reconcile.reconciler import PassResult
from controller.records import dataclass
from controller.store import inventory, source_status

MIN_DIGEST = 12
"""Minimum number of characters of a digest prefix that identifies withheld deletions."""
_ALGORITHM = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The result of an approval. `pending`: the deletions happen as soon as a revision can be applied."""

    digest: str
    deleted: tuple[str, ...]
    remaining: tuple[str, ...]
    pending: bool
    revision: str | None


def approve_deletions(context: OperationContext, digest: str, *, author: str) -> tuple[Withheld, Future[PassResult]]:
    """Approve the withheld deletions with this digest or digest prefix, and request a reconcile pass.

    After the pass, `approval_result` returns the result. Raises NotFoundError, UsageError.
    """
    with context.store.write() as tx:
        status = source_status.find(tx)
        withheld = None if status is None else status.withheld
        if withheld is None:
            raise NotFoundError("No deletions are withheld.", hint="See `controller status`.")
        _check_digest(digest, withheld)
        source_status.approve(tx, withheld.digest)
        names = ", ".join(withheld.deployments)
        context.record_event(tx, "PruneApproved", f"{author} approved {withheld.digest}: {names}", None)
    return withheld, context.request_pass()


def approval_result(context: OperationContext, withheld: Withheld, result: PassResult | None) -> Approved:
    """Return the result of approved deletions after a pass; `result` is None if the pass failed."""
    with context.store.read() as tx:
        remaining = tuple(name for name in withheld.deployments if inventory.find(tx, name) is not None)
        pending = (status := source_status.find(tx)) is not None and status.approved == withheld.digest
    return Approved(
        digest=withheld.digest,
        deleted=tuple(name for name in withheld.deployments if name not in remaining),
        remaining=remaining,
        pending=pending,
        revision=None if result is None else result.status.last_applied_revision,
    )


def _check_digest(text: str, withheld: Withheld) -> None:
    """Raise UsageError if the text is too short or ambiguous as a digest, NotFoundError if it is another digest."""
    prefix = text.strip().lower().removeprefix(_ALGORITHM)
    digests = {digest.removeprefix(_ALGORITHM) for digest in (withheld.digest, withheld.plan_digest)}
    if prefix in digests:
        return
    hint = f"The digest of the withheld deletions is {withheld.digest}. Review them with `controller status`."
    if len(prefix) < MIN_DIGEST:
        raise UsageError(
            f"{text!r} is too short for a digest: give at least {MIN_DIGEST} characters after {_ALGORITHM}.",
            hint=hint,
        )
    matches = [digest for digest in digests if digest.startswith(prefix)]
    if len(matches) > 1:
        raise UsageError(f"More than one digest begins with {text}.", hint=hint)
    if not matches:
        raise NotFoundError(f"No withheld deletions have the digest {text}.", hint=hint)
