"""How an interpreter of its own is started with our package: as a supervisor, by the launcher or by the fork server."""

# Our package is found where it is and nowhere else, without its surroundings on the path.
IMPORT = "import sys; path = sys.path[:]; sys.path.insert(0, sys.argv[1]); import controller; sys.path[:] = path; "
_SUPERVISE = IMPORT + "from controller.runs.executors.local.supervisor.supervise import main; main(sys.argv[2])"

# In UTF-8 mode: what a repository names is UTF-8, whatever the locale.
SUPERVISOR = ("-I", "-S", "-X", "utf8", "-c", _SUPERVISE)
"""The interpreter's arguments; the folder of our package and the run's directory follow."""
