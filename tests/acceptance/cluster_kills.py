"""Kills processes of a site at random, each by its id, and starts killed controllers again."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from controller.runs.executors.local.supervisor import process_tree
from tests.acceptance.cluster_site import Controller, Site
from tests.acceptance.harness import until
from tests.process_cluster import Cluster

Act = Callable[[], None]
_RESTARTS = ("controller", "leader", "paused leader", "session", "everything")


class Killer:
    """Does one of its acts at random each time. `kills` counts them by their names.

    Controllers are killed less often than other processes: one that has just started does not know yet which runners
    are silent.
    """

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        self.kills: Counter[str] = Counter()
        self.acts: dict[str, Act] = {"controller": self.kill_controller, "local process": self.kill_local_process}

    def add(self, acts: Mapping[str, Act]) -> None:
        """Let further things happen, by their names."""
        self.acts |= acts

    def act(self) -> None:
        """Kill something."""
        weights = [1 if name in _RESTARTS else 2 for name in self.acts]
        [name] = self._chance.choices(list(self.acts), weights)
        self.acts[name]()
        self.kills[name] += 1

    def kill_controller(self) -> None:
        """Kill some controller."""
        restart(self._chance.choice(self._site.controllers))

    def kill_local_process(self) -> None:
        """Kill a supervisor or a flow of a local run."""
        self.kill_one(self._site.processes())

    def kill_one(self, pids: Iterable[int]) -> None:
        """Kill one of these processes."""
        if some := sorted(pids):
            _kill(self._chance.choice(some))


class ClusterKills:
    """The faults of a cluster of processes."""

    def __init__(self, site: Site, killer: Killer, cluster: Cluster, chance: random.Random) -> None:
        self._site = site
        self._killer = killer
        self._cluster = cluster
        self._chance = chance

    @property
    def acts(self) -> dict[str, Act]:
        """Everything by its name."""
        return {
            "runner": lambda: self._do(self._cluster.kill_runner),
            "process below a runner": lambda: self._do(self._kill_below_runner),
            "node": lambda: self._do(self._cluster.lose_job),
            "repeated job": lambda: self._do(self._cluster.repeat),
            "everything": self._kill_everything,
        }

    def _do(self, act: Callable[[str], None]) -> None:
        """Do it to some job whose runner lives, if there is any."""
        alive = [job_id for job_id in self._cluster.jobs if self._cluster.runners(job_id)]
        if alive:
            with suppress(FileNotFoundError):  # the job has ended meanwhile
                act(self._chance.choice(alive))

    def _kill_below_runner(self, job_id: str) -> None:
        """Kill a supervisor or a flow on a node."""
        runners = self._cluster.runners(job_id)
        self._killer.kill_one(pid for runner in runners for pid in process_tree.descendants(runner))

    def _kill_everything(self) -> None:
        for controller in self._site.controllers:
            controller.kill()
        for pid in self._site.processes():
            _kill(pid)
        for job_id in self._cluster.jobs:
            self._cluster.lose_job(job_id)
        for controller in self._site.controllers:
            controller.start()


class LeaderKills:
    """The faults of the leader of two controllers, and of their sessions at the server."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def acts(self) -> dict[str, Act]:
        """Everything by its name."""
        return {"leader": self._kill, "paused leader": self._pause, "session": self._end_session}

    def _kill(self) -> None:
        """Kill the leader, and start it again: as a standby, if the other controller is fast."""
        for controller in self._leaders():
            restart(controller)

    def _pause(self) -> None:
        """Stop the process of the leader until the other controller leads."""
        for controller in self._leaders():
            controller.process.send_signal(signal.SIGSTOP)
            try:
                until(lambda: controller not in self._leaders(), "the other controller to lead")  # noqa: B023
            finally:
                controller.process.send_signal(signal.SIGCONT)

    def _end_session(self) -> None:
        self._site.select(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'controller%' ORDER BY random() LIMIT 1"
        )

    def _leaders(self) -> list[Controller]:
        """Return the controller that led last, unless it was killed."""
        pids = self._site.select("SELECT pid FROM leadership")
        return [controller for controller in self._site.controllers if (controller.process.pid,) in pids]


def restart(controller: Controller) -> None:
    """Kill a controller, and start it again."""
    controller.kill()
    controller.start()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
