"""The arguments that start a supervisor in a new interpreter. Used by the launcher and by the fork server."""

# Import our package from its own location, without leaving the parent directory on the path.
IMPORT = "import sys; path = sys.path[:]; sys.path.insert(0, sys.argv[1]); import controller; sys.path[:] = path; "
_SUPERVISE = IMPORT + "from controller.runs.executors.local.supervisor.supervise import main; main(sys.argv[2])"

# UTF-8 mode: names in a repository are UTF-8, whatever the locale.
SUPERVISOR = ("-I", "-S", "-X", "utf8", "-c", _SUPERVISE)
"""The arguments of the interpreter. The directory of our package and the run's directory follow."""
