"""The message about a deployments path that is a symbolic link, or leads through one. Called by all sources."""

import posixpath


def link_message(path: str, link: str, target: str) -> str:
    """Return the message, which suggests a path that works if there is one.

    `link` is the first part of `path` that is a link, and `target` is the target of this link.
    """
    leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
    problem = f"{link} is a symbolic link to {target}, and links are not followed"
    if posixpath.isabs(leads_to) or leads_to.startswith(".."):
        return f"{problem}. It leads outside the repository: use a directory inside it."
    rest = path.removeprefix(link)
    return f"{problem}: use --path {posixpath.normpath(leads_to + rest)}."
