"""The metrics for Prometheus, which `/metrics` returns. The only package that uses prometheus_client.

`api.http.routes.health` calls it. The parts of the controller count with `controller.counters`, so that nothing else
needs prometheus_client.
"""
