"""The command line: one file a command. docs/cli.md is held against its help texts by a test.

Exit codes: 0 fine; 1 findings or a failed run; 2 usage, configuration or "could not do it". Data goes to standard
output, everything else to standard error. A command module imports what it needs inside its function, so that
`controller --help` stays quick.
"""
