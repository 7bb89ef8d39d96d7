"""What the dashboard and the HTTP API cost with so many deployments: the first answer, and those after it."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import CONTROLLER

_PATHS = {
    "the overview": "/",
    "the page of deployments": "/deployments",
    "100 deployments": "/api/v1/deployments",
    "one deployment": "/api/v1/deployments/d00000",
    "the status, whole": "/api/v1/status",
}
_ROUNDS = 5


def answers(root: Path) -> Iterator[tuple[str, float]]:
    """What was asked of the controller that serves this repository, and the milliseconds to the whole answer."""
    said = subprocess.run([CONTROLLER, "login", "--repo", str(root), "-o", "json"], capture_output=True, check=True)
    url = str(json.loads(said.stdout)["url"]).partition("/login")[0]
    token = (root / ".controller" / "token").read_text().strip()
    yield "the first answer, the server loaded for it", _ask(f"{url}/healthz", token)
    for words, path in _PATHS.items():
        first = _ask(url + path, token)
        yield f"{words}, asked for the first time", first
        yield f"{words}, again", min(_ask(url + path, token) for _ in range(_ROUNDS))


def _ask(url: str, token: str) -> float:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", "Accept": "text/html"})
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()
    return (time.perf_counter() - start) * 1000
