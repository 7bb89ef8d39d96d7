"""The command line, with one module per command. A test compares docs/cli.md with the commands and their options.

Exit codes: 0 success; 1 findings or a failed run; 2 usage or configuration error, or the command could not be done.
Data goes to standard output, everything else to standard error. A command module imports what it needs inside its
function, so that `controller --help` stays fast.
"""
