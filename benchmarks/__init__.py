"""Benchmarks, run with `make bench`: CPU and wall time of the real command, compared with bare Python."""
