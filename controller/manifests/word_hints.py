"""Hints for a word that is not one of the few that a key accepts, such as `success` for `succeeded`.

`schema_messages` calls it.
"""

from collections.abc import Mapping

from controller.manifests.yaml.nodes import Path

_TROUBLES = {
    "fail": "did you mean failed?",
    "failure": "did you mean failed?",
    "failures": "did you mean failed?",
    "error": "did you mean failed?",
    "timeout": "did you mean timed_out?",
    "success": "successful runs are not reported: write recovered, or heartbeat: URL to report each run",
    "succeeded": "successful runs are not reported: write recovered, or heartbeat: URL to report each run",
    "all": "remove on: by default, all troubles of runs and deadlines are reported",
}
"""Words in `on` of a notification rule."""
_OUTCOMES = {
    **dict.fromkeys(("success", "successful", "ok"), "did you mean succeeded?"),
    **dict.fromkeys(("fail", "failure", "error", "crashed", "timed_out"), "did you mean failed?"),
    **dict.fromkeys(("completed", "done", "ended", "always", "any", "all"), "did you mean finished?"),
}
"""Words in `on` of an upstream deployment."""
_ATTEMPTS = {
    **dict.fromkeys(("fail", "failure", "failures", "error", "errors", "exception"), "did you mean failed?"),
    **dict.fromkeys(("timeout", "timed-out"), "did you mean timed_out?"),
    **dict.fromkeys(("crash", "killed"), "did you mean crashed?"),
    **dict.fromkeys(("all", "any", "always"), "write on: [failed, timed_out, crashed]"),
}
"""Words in `on` of `retries`."""
_SHIFTS = {
    **dict.fromkeys(("previous", "prev", "before", "back", "backward", "backwards"), "write previous_business_day"),
    **dict.fromkeys(("next", "after", "forward", "forwards", "following"), "write next_business_day"),
}
_SIGNATURES = {
    **dict.fromkeys(
        ("github", "sha256", "hmac", "hmac_sha256"),
        "write signature: hmac-sha256; GitHub's header is X-Hub-Signature-256",
    ),
    **dict.fromkeys(("gitea", "forgejo", "gogs"), "write signature: hmac-sha256 and header: X-Gitea-Signature"),
    "gitlab": "write signature: token and header: X-Gitlab-Token",
    "shopify": "write signature: hmac-sha256 and header: X-Shopify-Hmac-Sha256",
    "svix": "write signature: standard-webhooks",
    **dict.fromkeys(
        ("bearer", "secret", "none"), "write signature: token: the request has the secret in Authorization"
    ),
}
"""Words in `signature` of a webhook."""
_OVERLAPS = {
    **dict.fromkeys(("forbid", "cancel_new", "none", "never"), "did you mean skip?"),
    **dict.fromkeys(("parallel", "concurrent", "all", "always"), "did you mean allow?"),
    **dict.fromkeys(("wait", "enqueue", "serial"), "did you mean queue?"),
    **dict.fromkeys(("cancel", "restart", "cancel_running"), "did you mean replace?"),
}
"""Words in `overlap`, or in its `policy`."""


def word_hint(path: Path, word: str) -> str | None:
    """Return the hint for `word` at `path`; None if no other program or habit suggests it."""
    return _table(path).get(word.lower())


def _table(path: Path) -> Mapping[str, str]:
    first = path[0]
    if first in ("after", "notify", "retries"):
        return {"after": _OUTCOMES, "notify": _TROUBLES, "retries": _ATTEMPTS}[str(first)]
    if first == "overlap":
        return _OVERLAPS
    return {"shift": _SHIFTS, "signature": _SIGNATURES}.get(str(path[-1]), {})
