"""GitOps for Python flows: commit a YAML file, and the flow runs on time, pinned to the commit.

Importing this package loads nothing but itself. The way of the data is the order of the folders:
`sources` -> `manifests` -> `reconcile` -> `scheduling` -> `runs` -> `store` -> `views` -> `cli`, `tui`, `api`.
See docs/architecture.md.
"""

__version__ = "0.1.0"
