"""The composition root: the only package that creates sources, stores, executors and servers.

`controller` creates the parts, connects them, and starts and stops them in order. `web` does the same for the API and
the dashboard. `cli.run` calls it.
"""
