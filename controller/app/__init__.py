"""The composition root: creates the sources, stores, executors and servers of a running controller.

`controller` creates the parts, connects them, and starts and stops them in order. `web` does the same for the API and
the dashboard. `cli.run` calls it.
"""
