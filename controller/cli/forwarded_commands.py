"""Names the commands that `cli.command_client` forwards. Every command loads this module, so it imports nothing."""

FORWARDED = {
    "status": frozenset[str](),
    "deployments": frozenset({"list", "show"}),
    "runs": frozenset({"list", "show", "logs"}),
    "events": frozenset[str](),
    "occurrences": frozenset[str](),
    "next": frozenset[str](),
    "backfills": frozenset({"list", "show"}),
    "graph": frozenset[str](),
    "python": frozenset({"list", "show"}),
    "trigger": frozenset[str](),
}
"""The commands that may be forwarded, each with those of its subcommands that only read.

`trigger` changes something, but sends only one request, unless it waits for the run. None of them creates a file: a
forwarded command does not have the umask of its client.
"""
_WAITING = ("--watch", "--follow", "--wait", "--logs")


def is_forwarded(arguments: list[str]) -> bool:
    """Return whether the arguments are those of a command that may be forwarded and that ends by itself."""
    subcommands = FORWARDED.get(arguments[0]) if arguments else None
    if subcommands is None:
        return False
    if subcommands and len(arguments) > 1 and not arguments[1].startswith("-") and arguments[1] not in subcommands:
        return False
    return not any(map(_may_wait, arguments))


def _may_wait(argument: str) -> bool:
    """Return whether an argument is an option that waits, or short options that may contain -w or -f."""
    if argument.startswith("--"):
        return argument in _WAITING
    return argument.startswith("-") and ("w" in argument or "f" in argument)
