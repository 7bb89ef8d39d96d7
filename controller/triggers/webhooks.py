"""Handles requests to webhooks, which start runs, and those of git servers, which request a sync.

The routes of `/hooks` call it. The secret is read with each request. A sender learns only what it needs: why a request
was refused is in an event.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from controller.errors import ConflictError, ControllerError, NotFoundError, UsageError
from controller.manifests.json_paths import JsonPathError, find_value
from controller.manifests.parameter_references import find_references
from controller.manifests.upstream_references import find_upstream_references
from controller.model.deployments import Deployment
from controller.model.policies import Secret
from controller.model.runs import RunId, Trigger
from controller.model.status import EventSeverity
from controller.model.triggers import WebhookTrigger
from controller.notify.secret_lookup import SecretMissingError, find_secret
from controller.operations.context import OperationContext, get_entry
from controller.operations.parameter_check import ParametersError
from controller.queries.parameter_form import ParameterFault
from controller.sdk.messages import label
from controller.store import Transaction, holds, inventory, webhooks
from controller.text import format_count, shorten
from controller.triggers.deliveries import Delivery, identify_delivery
from controller.triggers.signatures import SignedRequest, find_fault, find_git_fault
from controller.triggers.webhook_guard import GIT, UNDECLARED, WebhookGuard, WebhookResult

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

    def start_run(self, name: str, request: SignedRequest) -> RunId:
        """Start a run of the deployment that declares this webhook, and return its id.

        A repeated delivery returns the id of the run that the first one started.

        Raises:
            NotFoundError: no active deployment declares the webhook.
            WebhookUnavailableError: the secret can't be read.
            UnauthorizedError: the signature of the request is not valid.
            TooManyRequestsError: there were too many requests.
            ConflictError: the deployment is suspended or held, or two deployments declare the webhook.
            UsageError: the body or the parameters in it do not fit.
        """
        now = self._context.clock.now()
        deployment, trigger = self._find_trigger(name)
        secret = self._find_secret(name, trigger.secret, deployment.name)
        self._check(name, find_fault(trigger.signature, trigger.header, secret, request, now), deployment.name)
        delivery = identify_delivery(request)
        with self._context.store.read() as tx:
            run_id = webhooks.find_delivery(tx, name, delivery.id, now - delivery.life)
        if run_id is not None:
            self.guard.count(name, WebhookResult.REPEATED)
            return run_id
        try:
            parameters = read_parameters(trigger, request.body)
            self._context.parameters.check(deployment.name, parameters)
            run_id = self._start(name, deployment, delivery, parameters)
        except ConflictError as error:
            self._report(name, WebhookResult.CONFLICT, error.message, deployment.name)
            raise
        except ParametersError as error:
            names = ", ".join(dict.fromkeys(str(fault.path[0]) for fault in error.faults if fault.path))
            self._report(name, WebhookResult.INVALID, f"these parameters do not fit: {names}", deployment.name)
            raise
        except UsageError as error:
            self._report(name, WebhookResult.INVALID, error.message, deployment.name)
            raise
        self._context.wake()
        return run_id

    def _find_trigger(self, name: str) -> tuple[Deployment, WebhookTrigger]:
        """Return the webhook and the active deployment that declares it. Raises NotFoundError, ConflictError."""
        with self._context.store.read() as tx:
            declared = webhooks.deployments_with(tx, name)
            entry = inventory.find(tx, declared[0]) if len(declared) == 1 else None
        if entry is not None:
            deployment = self._context.admission.deployment(entry)
            return deployment, next(trigger for trigger in deployment.webhooks if trigger.name == name)
        if not declared:
            self._report(UNDECLARED, WebhookResult.UNKNOWN, f"no deployment declares the webhook {shorten(name)}", None)
            raise NotFoundError("There is no webhook of this name.")
        message = f"The deployments {' and '.join(declared[:2])} declare this webhook."
        self._report(name, WebhookResult.CONFLICT, message, declared[0])
        raise ConflictError("Two deployments declare this webhook.", hint="Send the request again later.")

    def _start(self, name: str, deployment: Deployment, delivery: Delivery, parameters: Mapping[str, Any]) -> RunId:
        """Create the run and record the delivery in one transaction. Raises ConflictError, NotFoundError."""
        now = self._context.clock.now()
        with self._context.store.write() as tx:
            earlier = webhooks.find_delivery(tx, name, delivery.id, now - delivery.life)
            if earlier is not None:
                self.guard.count(name, WebhookResult.REPEATED)
                return earlier
            _check_starts(tx, deployment, now)
            entry = get_entry(tx, deployment.name)
            [run] = self._context.admission.event_runs(tx, entry, Trigger.WEBHOOK, [(parameters, None)])
            webhooks.save_delivery(tx, name, delivery.id, run.id, now)
            message = f"webhook {name} triggered run {run.id}."
            self._context.record_event(tx, "Triggered", message, deployment.name, run_id=run.id)
        self.guard.count(name, WebhookResult.ACCEPTED)
        fields = {"deployment": deployment.name, "run": run.id, "author": f"webhook {name}"}
        log.info("Run requested", extra=fields)
        return run.id

    def _find_secret(self, name: str, place: Secret, deployment: str | None) -> str:
        try:
            return find_secret(place, self._variables)
        except SecretMissingError as error:
            self._report(name, WebhookResult.UNAVAILABLE, error.message, deployment, hint=error.hint)
            raise WebhookUnavailableError("This webhook can't check requests now.") from None

    def _check(self, name: str, fault: str | None, deployment: str | None) -> None:
        """Raise UnauthorizedError for a fault of the signature, TooManyRequestsError beyond the limits."""
        if fault is not None:
            seconds = self.guard.limit_failures()
            self._report(name, WebhookResult.LIMITED if seconds else WebhookResult.UNAUTHORIZED, fault, deployment)
            if seconds:
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
        silent = self.guard.count_silent(name, result)
        if silent is None:
            return
        cause = cause.removesuffix(".")
        message = (
            f"A request to {f'/hooks/{name}' if name else 'a webhook'} was refused: {cause[:1].lower()}{cause[1:]}."
        )
        if silent:
            message += f" {_describe_silent(silent)}"
        if hint is not None:
            message += f" {hint}"
        log.warning("A request to a webhook was refused", extra={"webhook": name, "cause": cause})
        with self._context.store.write() as tx:
            self._context.record_event(tx, "WebhookRefused", message, deployment, EventSeverity.WARNING)


def read_parameters(trigger: WebhookTrigger, body: bytes) -> dict[str, Any]:
    """Return the parameters that the webhook takes from the body of a request.

    Raises UsageError for a body that is not JSON, and ParametersError for missing values and for references. Only
    documents and users may refer to other values.
    """
    if not trigger.parameters:
        return {}
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError("The body is not JSON.", hint="Send JSON in UTF-8.") from error
    parameters: dict[str, Any] = {}
    faults: list[ParameterFault] = []
    for name, query in trigger.parameters.items():
        try:
            parameters[name] = find_value(query, value)
        except JsonPathError as error:
            message = f"{name}: {error}"
            faults.append(ParameterFault(code="MissingValue", message=message, path=(name,), hint=None))
    for path in (*find_references(parameters), *find_upstream_references(parameters)):
        message = f"{label(path)}: a request can't refer to other values, as this mapping with from does"
        faults.append(ParameterFault(code="InvalidReference", message=message, path=path, hint=None))
    if faults:
        raise ParametersError(tuple(faults))
    return parameters


def _describe_silent(silent: Counter[WebhookResult]) -> str:
    """Return how many requests were refused without an event, with the numbers by result."""
    results = ", ".join(f"{count} {result}" for result, count in silent.most_common())
    verb = "was" if silent.total() == 1 else "were"
    return f"Since the previous event, {format_count(silent.total(), 'more request')} {verb} refused: {results}."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _check_starts(tx: Transaction, deployment: Deployment, now: datetime) -> None:
    """Raise ConflictError if only users may start runs of this deployment now."""
    if deployment.suspend:
        raise ConflictError("The deployment is suspended.", hint="Send the request again when it is not.")
    hold = holds.find_all(tx).get(deployment.name)
    if hold is not None and not hold.is_over(now):
        raise ConflictError("The deployment is on hold.", hint="Send the request again when the hold has ended.")
