"""Executors run the attempts of runs: `local` on this machine, and `remote` as jobs of a cluster.

`node` is what runs on the nodes of a cluster. See docs/executors.md.
"""
