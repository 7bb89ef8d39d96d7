"""Completes names in a shell: deployments, ids of runs and backfills, tags, environments, hosts, digests and codes.

The parameters of commands pass these functions to click as `shell_complete`. They read the state directly and import as
little as possible, because a shell waits for them. Every error means that there is nothing to complete.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from controller.settings import Location

Item = TypeVar("Item")

DEFAULT_PATH = "deployments"
"""The default of --path."""
_MOST_IDS = 50
_MOST_MANIFESTS = 200
_ACTIVE = ("pending", "launching", "running", "retrying")
_FINISHED = ("succeeded", "failed", "timed_out", "cancelled", "crashed", "skipped")


def deployments(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an active deployment."""
    from controller.store import completion_names

    return _starting_with(incomplete, _read(context, completion_names.deployments))


def deleted_deployments(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a deployment that can be restored."""
    from controller.store import completion_names

    return _starting_with(incomplete, _read(context, completion_names.deleted_deployments))


def subjects(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete what events are about: a deployment, the source or the controller."""
    return [*deployments(context, parameter, incomplete), *_starting_with(incomplete, ["controller", "source"])]


def tags(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the tag of an active deployment."""
    from controller.store import completion_names

    return _starting_with(incomplete, _read(context, completion_names.tags))


def digests(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the digest of the withheld deletions."""
    from controller.store import completion_names

    return _starting_with(incomplete, _read(context, completion_names.withheld_digests))


def runs(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the id of a run; also an unfinished one for `runs cancel`, and a finished one for `runs retry`."""
    from controller.store import completion_names

    states = {"cancel": _ACTIVE, "retry": _FINISHED}.get(str(context.info_name), ())
    return _ids(incomplete, _read(context, partial(completion_names.runs, states=states)))


def backfills(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Complete the id of a backfill."""
    from controller.store import completion_names

    return _ids(incomplete, _read(context, completion_names.backfills))


def channels(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a channel of notifications."""
    from controller.store import completion_names

    return _starting_with(incomplete, _read(context, completion_names.channels))


def hosts(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a host that shares the state, which is on a server."""
    from controller.store import completion_names

    try:
        url = context.params.get("state_url")
        return [] if url is None else _starting_with(incomplete, completion_names.hosts(url))
    except Exception:  # noqa: BLE001 - a message would destroy the line that is being edited
        return []


def codes(_context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete the code of a finding, or a reason."""
    from controller.cli.formats import explanations

    return _starting_with(incomplete, (*explanations.codes(), *(reason.code for reason in explanations.reasons())))


def environments(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete an environment that the files on disk declare, or that the controller applies."""
    from controller.store import completion_names

    try:
        declared = _declared_environments(_location(context))
    except Exception:  # noqa: BLE001 - files that cannot be read declare nothing
        declared = set()
    return _starting_with(incomplete, sorted({*declared, *_read(context, completion_names.applied_environments)}))


def _location(context: click.Context) -> "Location":
    """Return the location that the options before the cursor and the environment variables select."""
    from controller.settings import locate

    options = context.params
    return locate(options.get("repo"), options.get("path") or DEFAULT_PATH, None, options.get("state_dir"))


def _read(context: click.Context, names: "Callable[[Path], list[Item]]") -> list[Item]:
    try:
        return names(_location(context).state_dir / "state.db")
    except Exception:  # noqa: BLE001 - a message would destroy the line that is being edited
        return []


def _starting_with(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return the names that begin with this text; if there are none, those that do so in another case."""
    all_names, folded = list(names), incomplete.casefold()
    matches = [name for name in all_names if name.startswith(incomplete)]
    return matches or [name for name in all_names if name.casefold().startswith(folded)]


def _ids(incomplete: str, entries: Iterable[tuple[str, str]]) -> "list[CompletionItem]":
    """Return the ids that begin with this text in their short form, which lists show, or in their full form."""
    from click.shell_completion import CompletionItem

    from controller.store.completion_names import SHORT_ID

    items: list[CompletionItem] = []
    for full, remark in entries:
        for text in (full[-SHORT_ID:], full):
            if text.startswith(incomplete) and len(items) < _MOST_IDS:
                items.append(CompletionItem(text, help=remark))
                break
    return items


def _declared_environments(location: "Location") -> set[str]:
    """Return the environments in `controller.yaml` and in the deployments of the files on disk."""
    from controller.manifests.yaml.loader import load
    from controller.model.snapshots import PROJECT_FILE

    folder = location.directory / location.path
    files = [location.directory / PROJECT_FILE, *sorted({*folder.rglob("*.yaml"), *folder.rglob("*.yml")})]
    contents = (file.read_bytes() for file in files if file.is_file())
    names: set[str] = set()
    for _, content in zip(range(_MOST_MANIFESTS), (text for text in contents if b"environments" in text), strict=False):
        for document in load(content).documents:
            overlays = document.root.fields.get("environments")
            names |= set() if overlays is None else set(overlays.fields)
    return names
