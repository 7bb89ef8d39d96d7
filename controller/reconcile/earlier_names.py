"""Finds deployments that are active under a name in another case than a commit declares. For `controller plan --base`.

A rename that changes only the case is refused, so the deployment keeps its name and its last version until a commit
undoes the rename. How many commits ago that was, only the history of the manifests tells.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from controller.errors import SourceError
from controller.model.commits import ListedCommit
from controller.model.deployments import Deployment
from controller.model.names import fold_name

MAX_LISTED = 500
"""Maximum number of commits whose files are listed."""
MAX_READ = 50
"""Maximum number of commits whose manifests are read."""


def find_active_versions(
    deployments: Iterable[Deployment],
    commits: Iterable[ListedCommit],
    read_parent: Callable[[str], Mapping[str, Deployment]],
) -> Iterator[tuple[Deployment, Deployment]]:
    """Yield each deployment with its active version, if that has the same name in another case.

    `commits` are those up to the one that declares the deployments, newest first. `read_parent` returns the deployments
    that the parent of a commit declares, and raises SourceError if git lacks it: then the history ends there.
    """
    histories = {fold_name(deployment.name): [deployment] for deployment in deployments}
    tracked = set(histories)
    reads = 0
    for commit in commits:
        touched = [folded for folded in tracked if histories[folded][-1].file in commit.files]
        if not touched:
            continue
        if reads == MAX_READ:
            break
        reads += 1
        try:
            earlier = {fold_name(name): each for name, each in read_parent(commit.sha).items()}
        except SourceError:
            break
        for folded in touched:
            if folded in earlier:
                histories[folded].append(earlier[folded])
            else:
                tracked.remove(folded)
    for history in histories.values():
        active = next(version for version in history if version.name == history[-1].name)
        if active.name != history[0].name:
            yield history[0], active
