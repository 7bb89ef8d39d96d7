"""Explanations of findings about webhooks."""

from controller.cli.formats.explained.entry import Explanation
from controller.model.findings import Severity

_REFUND = "name: refund\nflow: flows/report.py:main\n"


def _webhook(name: str, more: str = "") -> str:
    return f"on: {{webhook: {{name: {name}, secret: {{env: SHOP_HOOK}}{more}}}}}\n"


WEBHOOKS = (
    Explanation(
        code="DuplicateWebhook",
        summary="two webhooks have the same name",
        meaning="The name of a webhook is a part of its URL, so it must be unique in the repository. None of the "
        "deployments that declare it is updated.",
        remedy="Rename one of the webhooks, and change the URL at its sender.",
        wrong=_REFUND + _webhook("shop") + "---\nname: order\nflow: flows/etl.py:main\n" + _webhook("shop"),
        right=_REFUND + _webhook("refunds") + "---\nname: order\nflow: flows/etl.py:main\n" + _webhook("orders"),
    ),
    Explanation(
        code="ReservedWebhook",
        summary="the name of a webhook is reserved",
        meaning="`/hooks/git` is the webhook of [git servers](sources.md#sync-at-each-push).",
        remedy="Choose another name.",
        wrong=_REFUND + _webhook("git"),
        right=_REFUND + _webhook("github-issues"),
    ),
    Explanation(
        code="UnusualHeader",
        summary="a header that the sender does not use",
        severity=Severity.WARNING,
        meaning="A warning: Stripe and Slack send their signatures in `Stripe-Signature` and `X-Slack-Signature`. With "
        "another `header`, their requests are refused.",
        remedy="Remove `header`, unless another sender uses the same signature.",
        wrong=_REFUND + _webhook("refunds", ", signature: stripe, header: X-Signature"),
        right=_REFUND + _webhook("refunds", ", signature: stripe"),
    ),
    Explanation(
        code="InvalidJsonPath",
        summary="a JSONPath can't be parsed",
        meaning="A value under `parameters` of a webhook is not a query of RFC 9535. The message names the part "
        "that is wrong.",
        remedy="Begin with `$`, and write names and indexes: `$.data.items[0].id`.",
        wrong=_REFUND + _webhook("shop", ", parameters: {order: data.order_id}"),
        right=_REFUND + _webhook("shop", ", parameters: {order: $.data.order_id}"),
    ),
)
