"""Requests that wait for a reconcile pass do not block other requests, and end when their client disconnects."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from controller.client import Client, ProblemError
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

MANY = 60
"""More requests than worker threads."""


def test_many_requests_waiting_for_a_pass_do_not_block_others(served: Served) -> None:
    client = Client.of_state(served.state)
    with ThreadPoolExecutor(MANY) as pool:
        with served.controller._store.write():
            served.repository.commit({"deployments/new.yaml": "name: brand-new\ncommand: [echo]\n"})
            waiting = [pool.submit(client.reconcile, wait=True) for _ in range(MANY)]
            wait_until(lambda: len(served.controller._loop._requests) == MANY)
            assert client.source()["revision"] is not None
            assert not any(one.done() for one in waiting)
        assert {one.result(60) for one in waiting} == {True}
    assert client.deployment("brand-new")["sync"] == "Synced"


def test_a_disconnected_client_no_longer_waits_for_the_pass(served: Served) -> None:
    with served.controller._store.write(), ExitStack() as stack:
        served.repository.commit({"deployments/newer.yaml": "name: newer\ncommand: [echo]\n"})
        headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
        for _ in range(5):
            connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)))
            connection.request("POST", "/api/v1/reconcile", b'{"wait": true}', headers)
        wait_until(lambda: len(served.controller._loop._requests) == 5)
        stack.close()
        wait_until(lambda: all(one.cancelled() for one in served.controller._loop._requests))
    assert Client.of_state(served.state).reconcile(wait=True)


def test_an_approval_while_the_controller_stops_is_reported_as_pending(fresh: Served) -> None:
    manifests = {f"deployments/m{n}.yaml": f"name: m{n}\ncommand: [echo]\n" for n in range(10)}
    fresh.commit(manifests)
    for path in manifests:
        (fresh.repository.path / path).unlink()
    fresh.commit({})
    client = Client.of_state(fresh.state)
    withheld = client.status()["withheld"]
    assert withheld is not None
    fresh.controller._loop.stop()
    assert client.approve(withheld["digest"])["pending"] is True
    with pytest.raises(ProblemError, match="stopping"):
        client.reconcile()
