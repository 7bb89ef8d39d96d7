"""Measurements, run with `make bench`: CPU and wall time of the real command, beside bare Python in the same run."""
