"""Responses are compressed for clients that accept it, and the pages stay light."""

import gzip
import re

import pytest

from controller.api.dashboard.static_files import static_files, static_folder
from controller.api.http.compression import SMALLEST, accepts_gzip
from tests.unit.api.conftest import Served

FIRST_LOAD_BYTES = 100_000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.8", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000, deflate", False),
        ("x-gzip", False),
        ("identity", False),
        ("", False),
    ],
)
def test_the_accept_encoding_header_is_read_as_rfc_9110_says(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


LIVE, ICON, ICONS = (f"{static_folder()}/{name}" for name in ("live.js", "icon.svg", "icons.svg"))


@pytest.mark.parametrize("path", ["/", "/deployments/add", "/api/v1/status", LIVE, ICONS])
def test_pages_json_and_static_files_are_compressed(served: Served, path: str) -> None:
    plain, packed = served.get(path), served.get(path, Accept_Encoding="gzip")
    assert len(plain.body) >= SMALLEST
    assert len(packed.body) < len(plain.body) / 1.5
    assert gzip.decompress(packed.body)[:100] == plain.body[:100]
    assert (plain.headers.get("content-encoding"), packed.headers["content-encoding"]) == (None, "gzip")
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-length"] == str(len(packed.body))


def test_the_tag_of_a_compressed_response_is_weak_and_valid_for_both_forms(served: Served) -> None:
    packed, plain = served.get(LIVE, Accept_Encoding="gzip"), served.get(LIVE)
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    for tag in (packed.headers["etag"], plain.headers["etag"]):
        unchanged = served.get(LIVE, Accept_Encoding="gzip", If_None_Match=tag)
        assert (unchanged.status, unchanged.body, unchanged.headers["vary"]) == (304, b"", "Accept-Encoding")


def test_small_responses_downloads_and_streams_are_not_compressed(served: Served) -> None:
    run = served.run("add", a=1, b=2)["id"]
    for path in ("/healthz", f"/api/v1/runs/{run}/logs/raw", ICON):
        assert "content-encoding" not in served.get(path, Accept_Encoding="gzip").headers, path
    stream = served.ask("HEAD", "/api/v1/events/stream", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in stream.headers


def test_the_first_load_of_a_page_is_light(served: Served) -> None:
    page = served.get("/", Accept_Encoding="gzip", Accept="text/html").body
    files = set(re.findall(rf"{static_folder()}/([\w.-]+\.(?:css|svg|js))", gzip.decompress(page).decode()))
    scripts = {name for name in static_files() if name.endswith(".js")}  # dashboard.js imports the others
    total = len(page) + sum(len(static_files()[name].compressed) for name in files | scripts)
    assert total <= FIRST_LOAD_BYTES, total
