"""How uv is started: with limits, with a part of the operator's environment, and for a limited time."""

from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.errors import StoppingError, UsageError
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.uv import Uv
from controller.python_environments.uv_settings import parse_uv, pick_variables
from tests.conftest import wait_until
from tests.unit.python_environments.conftest import processes_with


def uv_that(script: str, tmp_path: Path, *, seconds: float = 60.0, **variables: str) -> Uv:
    """Return uv with a program that does this instead."""
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    variables = {"PATH": "/usr/bin:/bin", **variables}
    uv = Uv(program, cache=tmp_path / "cache", variables=variables, clock=SystemClock(), seconds=seconds)
    uv.begin()
    return uv


def test_uv_runs_with_low_priority_and_limited_memory(tmp_path: Path) -> None:
    output = uv_that("nice; ulimit -d; ulimit -c >&2; exit 3", tmp_path).run([], tmp_path)
    assert output.result.split() == ["10", str((2 << 30) // 1024)]
    assert output.status == 3
    assert output.messages.strip()


def test_uv_gets_its_own_cache_and_no_configuration_of_the_repository(tmp_path: Path) -> None:
    show = 'echo "$UV_CACHE_DIR $UV_PYTHON_DOWNLOADS $UV_NO_CONFIG."'
    assert uv_that(show, tmp_path).run([], tmp_path).result == f"{tmp_path}/cache never 1.\n"
    with_file = uv_that(show, tmp_path, UV_CONFIG_FILE="/etc/uv.toml")
    assert with_file.run([], tmp_path).result == f"{tmp_path}/cache never .\n"


def test_a_build_that_takes_too_long_is_killed_with_all_its_processes(tmp_path: Path) -> None:
    uv = uv_that("sleep 1000 & sleep 1000", tmp_path, seconds=0.5, MARK=str(tmp_path))
    with pytest.raises(PythonBuildError, match=r"longer than 0\.5 seconds"):
        uv.run([], tmp_path)
    wait_until(lambda: not processes_with(f"MARK={tmp_path}\0"))


def test_nothing_is_started_after_a_stop(tmp_path: Path) -> None:
    uv = uv_that("sleep 1000", tmp_path)
    uv.stop()
    with pytest.raises(StoppingError):
        uv.run([], tmp_path)


def test_only_the_end_of_long_messages_is_kept(tmp_path: Path) -> None:
    output = uv_that("yes message | head -c 1000000 >&2; echo end >&2", tmp_path).run([], tmp_path)
    assert len(output.messages) == 256 << 10
    assert output.messages.endswith("end\n")


def test_uv_gets_indexes_proxies_and_certificates_but_no_secrets_of_flows() -> None:
    passed = {
        "UV_DEFAULT_INDEX": "https://example.org/simple",
        "UV_INDEX_INTERNAL_PASSWORD": "x",
        "UV_OFFLINE": "1",
        "UV_LINK_MODE": "copy",
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "*",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "PATH": "/usr/bin",
    }
    withheld = {
        "CONTROLLER_GIT_PASSWORD": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "UV_PYTHON": "3.9",
        "UV_PROJECT": "/x",
        "UV_LOCKED": "1",
        "UV_CACHE_DIR": "/x",
        "UV_NO_BINARY": "1",
        "PYTHONPATH": "/x",
        "VIRTUAL_ENV": "/x",
    }
    assert {**pick_variables({**passed, **withheld}), "HOME": ""} == {**passed, "HOME": ""}


def test_options_are_checked_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such program"):
        parse_uv(str(tmp_path / "uv"))
    with pytest.raises(UsageError, match="absolute"):
        parse_uv(None, allowed_interpreters=("venvs/*/bin/python",))
    settings = parse_uv("/bin/sh", allowed_interpreters=("/opt/*/bin/python",), allows_source_builds=True)
    assert (settings.program, settings.allows_source_builds) == (Path("/bin/sh"), True)
