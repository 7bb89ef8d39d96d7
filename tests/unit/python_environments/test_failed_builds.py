"""Builds that fail say why, leave nothing behind, and are tried again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.model.python_environments import PythonEnvironment, PythonState
from controller.python_environments import PythonEnvironments
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.redaction import Redactor
from tests.conftest import ManualClock, wait_until
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import Make, processes_with, requirements


def reason(environment: PythonEnvironment) -> str:
    assert environment.state is PythonState.FAILED
    assert environment.message in environment.log
    return environment.reason


def leftovers(tmp_path: Path) -> list[str]:
    return [
        path.name for path in (tmp_path / "python").iterdir() if path.name not in ("cache", "logs", "scratch", "lock")
    ]


def test_requirements_that_conflict(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    index.add("one", "1", requires=["acme<2"])
    index.add("two", "1", requires=["acme>=2"])
    environment = environments.build(requirements("one", "two"))
    assert reason(environment) == "ResolveFailed"
    assert "depend" in environment.message


def test_a_version_that_does_not_exist(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    environment = environments.build(requirements("acme==7"))
    assert reason(environment) == "ResolveFailed"
    assert "there is no version of acme==7" in environment.message


def test_a_locked_file_that_was_removed_from_the_index(environments: PythonEnvironments) -> None:
    environment = environments.build(requirements(f"acme==1.0 --hash=sha256:{'0' * 64}"))
    assert reason(environment) == "ResolveFailed"


def test_a_yanked_version_is_installed_if_it_is_pinned(environments: PythonEnvironments, index: PackageIndex) -> None:
    pin = index.add("acme", "2.0", is_yanked=True)
    index.add("acme", "1.0")
    assert environments.build(requirements("acme")).packages == {"acme": "1.0"}
    assert environments.build(requirements(pin)).packages == {"acme": "2.0"}


def test_a_file_that_is_not_the_locked_one(
    environments: PythonEnvironments, index: PackageIndex, tmp_path: Path
) -> None:
    environment = environments.build(requirements(index.add("acme", "1.0", is_replaced=True)))
    assert reason(environment) == "BuildFailed"
    assert "Hash mismatch" in environment.message
    assert leftovers(tmp_path) == []


def test_a_package_without_a_wheel_is_not_executed(make: Make, index: PackageIndex, tmp_path: Path) -> None:
    executed = tmp_path / "executed"
    setup = f"open({str(executed)!r}, 'w')\nraise SystemExit('the build ran')\n"
    pin = index.add_source("acme", "1.0", setup)
    for request in (requirements("acme"), requirements(pin)):
        environment = make().build(request)
        assert reason(environment) in ("ResolveFailed", "BuildFailed")
        assert "--allow-source-builds" in environment.message
    assert not executed.exists()


@pytest.mark.parametrize("status", [500, 503])
def test_an_index_that_is_down(environments: PythonEnvironments, index: PackageIndex, status: int) -> None:
    index.add("acme", "1.0")
    index.status = status
    assert reason(environments.build(requirements("acme"))) == "IndexUnreachable"
    index.status = None
    assert environments.build(requirements("acme")).state is PythonState.READY


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_refuses_the_credentials(
    make: Make, index: PackageIndex, status: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index.status = status
    url = index.url.replace("://", "://ada:geheim%2Fwort@")
    environments = make(UV_DEFAULT_INDEX=url, UV_INDEX_OTHER_PASSWORD="another-secret")
    environment = environments.build(requirements("acme"))
    assert reason(environment) == "IndexUnreachable"
    assert "credentials" in environment.message
    everything = f"{environment}{caplog.text}{[vars(record) for record in caplog.records]}"
    everything += "".join(path.read_text() for path in (tmp_path / "python" / "logs").iterdir())
    assert "geheim" not in everything


def test_nothing_listens_at_the_index(make: Make) -> None:
    environments = make(UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")
    assert reason(environments.build(requirements("acme"))) == "IndexUnreachable"


def test_an_index_that_does_not_answer(make: Make, index: PackageIndex) -> None:
    index.is_stalled = True
    environments = make(UV_HTTP_TIMEOUT="1")
    assert reason(environments.build(requirements("acme"))) == "IndexUnreachable"


def test_without_network_only_the_cache_is_used(make: Make, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    index.add("acme", "2.0")
    assert make().build(requirements("acme==1.0")).state is PythonState.READY
    offline = make(UV_OFFLINE="1")
    assert offline.build(requirements("acme==1.0", version="3")).state is PythonState.READY
    assert reason(offline.build(requirements("other"))) == "NotInCache"


def test_a_missing_uv(make: Make, uv: CountedUv) -> None:
    environments = make()
    uv.program.unlink()
    environment = environments.build(requirements("acme"))
    assert reason(environment) == "UvNotFound"
    assert "--uv" in environment.message


def test_a_failed_build_is_retried_by_itself(
    environments: PythonEnvironments, index: PackageIndex, clock: ManualClock
) -> None:
    index.add("acme", "1.0")
    index.status = 500
    request = requirements("acme")
    environment = environments.build(request)
    assert environment.retry_at == clock.now() + timedelta(seconds=5)
    assert environment.attempts == 1
    index.status = None
    clock.turn(timedelta(seconds=5))
    environments.start()
    environments.ensure([request])
    wait_until(lambda: environments.find_runtime(request) is not None)


def test_pauses_between_attempts_become_longer(environments: PythonEnvironments, clock: ManualClock) -> None:
    request = requirements("-e .")
    pauses = []
    for _ in range(9):
        retry_at = environments.build(request).retry_at
        assert retry_at is not None
        pauses.append((retry_at - clock.now()).total_seconds())
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]


@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/hostname",
        "-r ../secrets.txt",
        "-c https://example.org/constraints.txt",
        "-e .",
        "./package",
        "acme @ file:///etc/acme-1.0-py3-none-any.whl",
        "acme @ FILE:///etc/acme-1.0-py3-none-any.whl",
        "acme @ http://example.org/acme-1.0-py3-none-any.whl",
        "acme @ GIT+https://example.org/acme.git",
        "acme @ git+ssh://example.org/acme.git",
        "acme @ ./acme-1.0-py3-none-any.whl",
        "acme @ /etc/acme-1.0-py3-none-any.whl",
        "acme-1.0-py3-none-any.whl",
        "https://example.org/acme-1.0-py3-none-any.whl",
        "acme @ https://example.org/${UV_INDEX_OTHER_PASSWORD}/acme-1.0-py3-none-any.whl",
    ],
)
def test_a_file_cannot_reach_beyond_the_repository(environments: PythonEnvironments, uv: CountedUv, line: str) -> None:
    environment = environments.build(requirements(line))
    assert reason(environment) == "ResolveFailed"
    assert line in environment.message
    assert uv.calls == []
    locked = environments.build(requirements(f"{line} --hash=sha256:{'1' * 64}"))
    assert reason(locked) == "ResolveFailed"
    assert uv.calls == []


def test_a_lock_with_credentials_is_refused_without_showing_them(environments: PythonEnvironments) -> None:
    url = "https://ada:geheim@example.org/acme-1.0-py3-none-any.whl"
    environment = environments.build(requirements(f"acme @ {url} --hash=sha256:{'1' * 64}"))
    assert reason(environment) == "ResolveFailed"
    assert "credentials" in environment.message
    assert "geheim" not in str(environment)


def test_a_requirement_after_a_comment_that_ends_in_a_backslash_stays(
    environments: PythonEnvironments, index: PackageIndex
) -> None:
    pins = [index.add("acme", "1.0"), index.add("duck", "1")]
    assert environments.build(requirements("# folder C:\\", pins[0], f"{pins[1]} \\")).lock == f"{pins[0]}\n{pins[1]}\n"


@pytest.mark.parametrize("entry", ["flows/setup.py", "--x.txt", "pyproject.toml", "a/environment.yml"])
def test_the_name_of_a_requirements_file_does_not_matter(
    environments: PythonEnvironments, index: PackageIndex, entry: str
) -> None:
    index.add("acme", "1.0")
    request = replace(requirements(), files={entry: "acme\n"}, entry=entry)
    assert environments.build(request).packages == {"acme": "1.0"}


def test_a_password_that_is_a_word_in_the_lock_does_not_change_it(make: Make, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    environments = make(UV_INDEX_OTHER_PASSWORD="sha256")
    assert environments.build(requirements("acme")).packages == {"acme": "1.0"}


def test_an_index_that_a_file_names_is_ignored(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0")
    request = requirements("--index-url http://127.0.0.1:9/simple", "-i http://127.0.0.1:9/simple", "acme")
    assert environments.build(request).state is PythonState.READY


def test_an_index_without_upload_times_is_resolved_without_the_time_of_the_commit(
    environments: PythonEnvironments, index: PackageIndex
) -> None:
    index.add("acme", "1.0")
    environment = environments.build(requirements("acme"), datetime(2020, 1, 1, tzinfo=UTC))
    assert environment.packages == {"acme": "1.0"}


def test_a_list_is_resolved_as_of_the_commit(environments: PythonEnvironments, index: PackageIndex) -> None:
    index.add("acme", "1.0", uploaded="2026-01-01T00:00:00Z")
    index.add("acme", "2.0", uploaded="2026-03-01T00:00:00Z")
    environment = environments.build(requirements("acme"), datetime(2026, 2, 1, tzinfo=UTC))
    assert environment.packages == {"acme": "1.0"}


@pytest.mark.parametrize("message", ["No space left on device (os error 28)", "Disk quota exceeded (os error 122)"])
def test_a_full_disk_of_uv_is_a_reason(make: Make, uv: CountedUv, message: str) -> None:
    uv.program.write_text(
        f"#!/bin/sh\necho 'error: Failed to install: acme' >&2\necho '  cause: {message}' >&2\nexit 2"
    )
    environment = make().build(requirements("acme"))
    assert reason(environment) == "StorageFull"
    assert environment.message.startswith("The disk is full. Free some space")


def test_a_disk_that_fills_up_under_the_controller_is_a_reason(
    environments: PythonEnvironments, index: PackageIndex, tmp_path: Path
) -> None:
    request = requirements(index.add("acme", "1.0"))
    log = tmp_path / "python" / "logs" / f"{request.digest}.log.new"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    assert reason(environments.build(request)) == "StorageFull"
    log.unlink()
    assert environments.build(request).state is PythonState.READY


def test_credentials_are_removed_from_every_text() -> None:
    redactor = Redactor(
        {
            "UV_INDEX_URL": "https://ada:p%40ss-word@example.org/simple",
            "UV_INDEX_X_PASSWORD": "token-1",
            "UV_INDEX": "https://package@example.org/simple",
            "HOME": "/root",
        }
    )
    text = "https://ada:p%40ss-word@example.org/x p@ss-word token-1 http://u:v@example.com /root package"
    assert redactor.redact(text) == "https://****@example.org/x **** **** http://****@example.com /root package"


def test_a_stop_kills_the_build(environments: PythonEnvironments, index: PackageIndex, tmp_path: Path) -> None:
    index.is_stalled = True
    environments.start()
    environments.ensure([requirements("acme")])
    assert index.stalled.wait(60)
    environments.stop()
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize("message", ["No solution found", "No solution found."])
def test_the_message_and_the_hint_are_sentences(message: str) -> None:
    assert PythonBuildError("ResolveFailed", message, hint="Try again.").text == "No solution found. Try again."
