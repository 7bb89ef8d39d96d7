"""The HTTP server: ports in use, TLS, and imports before the first connection."""

import http.client
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.api.http.application import API, PAGES, make_routes
from controller.api.http.credentials import Credentials
from controller.api.http.server import HttpServer
from controller.client import Client, NoAnswerError, NotReachedError, ProblemError
from controller.errors import UsageError
from controller.listen_settings import Listen, parse_listen
from tests.conftest import ManualClock, new_repository
from tests.unit.api.conftest import DEPLOYMENTS, FLOWS, serve

CERTIFICATE = Path(__file__).parents[2] / "localhost.pem"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield int(other.getsockname()[1])


def server(listen: Listen, directory: Path, clock: ManualClock) -> HttpServer:
    async def empty(scope: dict[str, str], receive: object, send: object) -> None:  # noqa: ARG001
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]

    return HttpServer(directory / "control.sock", listen, Credentials(directory, clock), lambda _: empty)


def test_a_default_port_in_use_is_logged_and_skipped(
    tmp_path: Path, clock: ManualClock, taken: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = server(Listen(port=taken), tmp_path, clock)
    found.start()
    [record] = [record for record in caplog.records if "another controller" in record.getMessage()]
    assert vars(record)["address"] == f"127.0.0.1:{taken}"
    with pytest.raises(UsageError, match="does not serve the dashboard"):
        found.login_link()
    found.close()


def test_an_explicit_port_in_use_is_an_error(tmp_path: Path, clock: ManualClock, taken: int) -> None:
    listen = parse_listen(f"127.0.0.1:{taken}")
    assert listen is not None
    with pytest.raises(UsageError, match=f"--listen 127.0.0.1:{taken}: Address already in use"):
        server(listen, tmp_path, clock).start()


def test_tls_is_served_with_secure_cookies(tmp_path: Path, clock: ManualClock) -> None:
    listen = parse_listen("127.0.0.1:0", certificate=str(CERTIFICATE), key=str(CERTIFICATE))
    assert listen is not None
    found = server(listen, tmp_path, clock)
    found.start()
    assert found.is_secure
    assert found.url is not None
    assert found.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    trusting.check_hostname = False
    with closing(http.client.HTTPSConnection("127.0.0.1", found.port, timeout=60, context=trusting)) as connection:
        connection.request("GET", "/")
        assert connection.getresponse().status == 204
    found.close()
    found.close()


def test_an_invalid_certificate_is_rejected_at_start(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "c.pem").write_text("nothing")
    listen = parse_listen("127.0.0.1:0", certificate=str(tmp_path / "c.pem"), key=str(tmp_path / "c.pem"))
    assert listen is not None
    with pytest.raises(UsageError, match="Cannot use the certificate"):
        server(listen, tmp_path, clock).start()


def test_accepted_host_names(tmp_path: Path, clock: ManualClock) -> None:
    listen = parse_listen("0.0.0.0:443", is_behind_proxy=True, public_hosts=("flows.example.org",))
    assert listen is not None
    found = server(listen, tmp_path, clock)
    assert found.hosts == {"flows.example.org:443", "flows.example.org"}
    assert found.url == "https://flows.example.org"
    assert found.cookie == "controller_443"


def test_the_web_framework_is_not_imported_before_the_first_connection(tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.listen_settings import parse_listen
from controller.settings import Settings, locate
location = locate({str(tmp_path)!r}, "deployments", None, None)
controller = Controller(Settings(location=location, listen=parse_listen("127.0.0.1:0")), StopSignal())
controller.start()
assert "/login#" in controller._web.login_link()
controller.stop()
print(sorted(set(sys.modules) & {{"fastapi", "uvicorn", "jinja2", "pydantic", "starlette"}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_routes_are_built_once_and_not_again_by_each_application() -> None:
    routes = [route for router in (*API, *PAGES) for route in router.routes]
    served = make_routes(None, None).routes
    assert [route for route in routes if not any(route is one for one in served)] == []
    assert [getattr(route, "path", None) for route in served if not any(route is one for one in routes)] == [
        "/api/v1/openapi.json"
    ]


def test_response_models_are_built_for_the_openapi_document_and_not_before(tmp_path: Path) -> None:
    program = """
from controller.api.http.application import make_routes
app = make_routes(None, None)
built = lambda: sum(getattr(route, "response_field", None) is not None for route in app.routes)
before = built()
app.openapi()
print(before, built() > 40)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["0", "True"]


def test_the_client_reports_invalid_addresses_and_responses(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Client("ftp://127.0.0.1")
    found = server(Listen(port=0), tmp_path, clock)
    found.start()
    assert found.url is not None
    for client in (Client(found.url, "x"), Client.of_state(tmp_path)):
        with pytest.raises(NoAnswerError, match="Expecting value"):
            client.status()
    found.close()
    with pytest.raises(NotReachedError, match="refused"):
        Client(found.url, "x").status()
    with pytest.raises(NotReachedError, match="No such file"):
        Client.of_state(tmp_path).status()
    assert str(ProblemError({}, 500)) == "The controller returned HTTP 500."


def test_a_controller_with_a_damaged_database_stops_and_removes_its_socket(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repo")
    repository.commit({"flows/all.py": FLOWS, "deployments/all.yaml": DEPLOYMENTS})
    served = serve(repository, tmp_path / "state")
    for path in (served.state / "state.db", served.state / "state.db-wal"):
        path.write_bytes(b"x" * path.stat().st_size)
    served.controller.stop()
    assert not (served.state / "control.sock").exists()
