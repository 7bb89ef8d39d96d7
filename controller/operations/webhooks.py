"""Handles requests to webhooks: those of git servers request a sync. The routes of `/hooks` call it.

The secret is read with each request. A sender learns only what it needs: why a request was refused is in an event.
"""

import logging
import math
from collections.abc import Mapping
from typing import NoReturn

from controller.errors import ControllerError, NotFoundError
from controller.model.policies import Secret
from controller.model.status import EventSeverity
from controller.notify.secret_lookup import SecretMissingError, find_secret
from controller.operations.context import OperationContext
from controller.triggers.signatures import SignedRequest, find_git_fault
from controller.triggers.webhook_guard import GIT, WebhookGuard, WebhookResult

log = logging.getLogger(__name__)


class UnauthorizedError(ControllerError):
    """The request does not prove that its sender has the secret."""

    reason = "InvalidSignature"


class TooManyRequestsError(ControllerError):
    """There were too many requests; the next one may come after `seconds`."""

    reason = "TooManyRequests"

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = max(1, math.ceil(seconds))


class WebhookUnavailableError(ControllerError):
    """The secret of the webhook can't be read."""

    reason = "WebhookUnavailable"


class Webhooks:
    """The webhooks of the controller. Thread-safe.

    `git_secret` is the place of the secret of `/hooks/git`, None without one. `variables` is the environment of the
    controller.
    """

    def __init__(self, context: OperationContext, git_secret: Secret | None, variables: Mapping[str, str]) -> None:
        self._context = context
        self._git_secret = git_secret
        self._variables = variables
        self.guard = WebhookGuard(context.clock)

    def request_sync(self, request: SignedRequest) -> None:
        """Request a reconcile pass because a git server reports a change. Requests during a pass share the next one.

        Raises:
            NotFoundError: the controller has no secret for git servers.
            WebhookUnavailableError: the secret can't be read.
            UnauthorizedError: no signature of the request is valid.
            TooManyRequestsError: there were too many requests.
        """
        if self._git_secret is None:
            self._report(GIT, WebhookResult.UNKNOWN, "controller runs without --git-hook-secret", None)
            raise NotFoundError("There is no webhook of this name.")
        secret = self._find_secret(GIT, self._git_secret, None)
        self._check(GIT, find_git_fault(secret, request, self._context.clock.now()), None)
        self.guard.count(GIT, WebhookResult.ACCEPTED)
        log.info("Sync requested by a git server")
        self._context.request_pass()

    def _find_secret(self, name: str, place: Secret, deployment: str | None) -> str:
        try:
            return find_secret(place, self._variables)
        except SecretMissingError as error:
            self._report(name, WebhookResult.UNAVAILABLE, error.message, deployment, hint=error.hint)
            raise WebhookUnavailableError("This webhook can't check requests now.") from None

    def _check(self, name: str, fault: str | None, deployment: str | None) -> None:
        """Raise UnauthorizedError for a fault of the signature, TooManyRequestsError beyond the limits."""
        if fault is not None:
            self._report(name, WebhookResult.UNAUTHORIZED, fault, deployment)
            if seconds := self.guard.limit_failures():
                raise TooManyRequestsError("Too many requests without a valid signature.", seconds)
            raise UnauthorizedError("The request has no valid signature.")
        if seconds := self.guard.limit(name):
            self._refuse_for_limit(name, deployment, seconds)

    def _refuse_for_limit(self, name: str, deployment: str | None, seconds: float) -> NoReturn:
        self._report(name, WebhookResult.LIMITED, "there were too many requests", deployment)
        raise TooManyRequestsError("Too many requests to this webhook.", seconds)

    def _report(
        self, name: str, result: WebhookResult, cause: str, deployment: str | None, *, hint: str | None = None
    ) -> None:
        """Count a refused request, and record an event about it unless there was one within the last minute."""
        self.guard.count(name, result)
        silent = self.guard.count_silent(name)
        if silent is None:
            return
        cause = cause.removesuffix(".")
        message = f"A request to /hooks/{name} was refused: {cause[:1].lower()}{cause[1:]}."
        if silent:
            message += f" {silent} more since the last event of this kind."
        if hint is not None:
            message += f" {hint}"
        log.warning("A request to a webhook was refused", extra={"webhook": name, "cause": cause})
        with self._context.store.write() as tx:
            self._context.record_event(tx, "WebhookRefused", message, deployment, EventSeverity.WARNING)
