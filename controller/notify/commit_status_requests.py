"""Converts commit statuses to the requests that `sender` understands, in the form that each git server documents.

`message_requests` calls it. Pure functions.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from controller.git_servers import commit_page, statuses_url
from controller.model.commit_statuses import CommitState, CommitStatusSettings, Provider
from controller.model.notifications import Message

_GITLAB_STATES = {
    CommitState.PENDING: "pending",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
    CommitState.ERROR: "failed",
}
_BITBUCKET_STATES = {
    CommitState.PENDING: "INPROGRESS",
    CommitState.SUCCESS: "SUCCESSFUL",
    CommitState.FAILURE: "FAILED",
    CommitState.ERROR: "FAILED",
}
_MAX_BITBUCKET_KEY = 40


def commit_status_request(declared: CommitStatusSettings, page: str, token: str, message: Message) -> dict[str, Any]:
    """Return the request that sends a commit status. `page` is the URL of the repository's web page."""
    provider = declared.provider
    return {
        "kind": "commit_status",
        "url": statuses_url(provider, page, message.payload["commit"]),
        "key": token,
        "id": message.id,
        "headers": _headers(provider, token),
        "payload": _body(provider, page, message),
    }


def _headers(provider: Provider, token: str) -> dict[str, str]:
    match provider:
        case Provider.GITHUB:
            return {
                "Authorization": f"Bearer {token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        case Provider.GITLAB:
            return {"PRIVATE-TOKEN": token, "Accept": "application/json"}
        case Provider.BITBUCKET:
            return {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        case _:
            return {"Authorization": f"token {token}", "Accept": "application/json"}


def _body(provider: Provider, page: str, message: Message) -> dict[str, Any]:
    payload, state = message.payload, CommitState(message.payload["state"])
    context, link = payload["context"], payload["target_url"]
    match provider:
        case Provider.GITLAB:
            fields = {"state": _GITLAB_STATES[state], "name": context, "target_url": link, "ref": payload["ref"]}
        case Provider.BITBUCKET:
            # A URL is required, and this server limits the length of keys.
            link = link or commit_page(provider, page, payload["commit"])
            fields = {"state": _BITBUCKET_STATES[state], "key": _bitbucket_key(context), "name": context, "url": link}
        case _:
            fields = {"state": state.value, "context": context, "target_url": link}
    return _without_nulls({**fields, "description": message.body})


def _bitbucket_key(context: str) -> str:
    if len(context) <= _MAX_BITBUCKET_KEY:
        return context
    return f"{context[: _MAX_BITBUCKET_KEY - 9]}-{hashlib.sha256(context.encode()).hexdigest()[:8]}"


def _without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
