"""Runs flows on a Ray cluster: the engine speaks to the Jobs API of Ray's dashboard."""
