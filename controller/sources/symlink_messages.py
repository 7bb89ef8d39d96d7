"""What is said of a deployments path that is, or leads through, a symbolic link. Both kinds of sources ask it."""

import posixpath


def link_message(path: str, link: str, target: str) -> str:
    """`link` is the part of `path` that is a link to `target`; it names the path that works, if there is one."""
    leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
    said = f"{link} is a symbolic link to {target}, and links are not followed"
    if posixpath.isabs(leads_to) or leads_to.startswith(".."):
        return f"{said}. It leads out of the repository: use a directory inside of it."
    rest = path.removeprefix(link)
    return f"{said}: use --path {posixpath.normpath(leads_to + rest)}."
