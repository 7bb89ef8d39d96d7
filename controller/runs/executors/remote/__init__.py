"""Executors that run attempts as jobs of a cluster. Their runners report over the node API."""
