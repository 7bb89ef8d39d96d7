"""Executors run the processes of flows. There is one executor: the local machine."""
