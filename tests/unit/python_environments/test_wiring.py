"""The controller starts and stops the builder, with the options of the operator."""

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.settings import Location, Settings, UvSettings
from tests.conftest import GitRepository, wait_until
from tests.package_index import CountedUv, PackageIndex
from tests.unit.python_environments.conftest import processes_with, requirements


def test_a_controller_builds_while_it_runs_and_not_after(
    repository: GitRepository, index: PackageIndex, uv: CountedUv
) -> None:
    repository.commit({"deployments/a.yaml": "name: a\ncommand: ['true']\n"})
    state = repository.path / ".git" / "controller"
    location = Location(repo=repository.path, path="deployments", ref=None, state_dir=state)
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(repository.path), "UV_DEFAULT_INDEX": index.url}
    settings = Settings(location=location, uv=UvSettings(program=uv.program, variables=variables))
    ready, stalled = requirements(index.add("acme", "1.0")), requirements(index.add("other", "1.0"))
    controller = Controller(settings, StopSignal())
    controller.start()
    try:
        assert not (state / "python").exists()
        controller.python.ensure([ready])
        wait_until(lambda: controller.python.find_runtime(ready) is not None)
        index.is_stalled = True
        controller.python.ensure([stalled])
        assert index.stalled.wait(60)
    finally:
        controller.stop()
    wait_until(lambda: not processes_with(f"UV_CACHE_DIR={state}/python/cache\0"))
    assert (state / "python").stat().st_mode & 0o777 == 0o700
