"""GitOps for Python flows: commit a YAML file, and the flow runs on time, pinned to the commit.

Importing this package loads nothing but itself; `from controller import flow` loads what user code needs of `flows`.
The way of the data is the order of the folders:
`sources` -> `manifests` -> `reconcile` -> `scheduling` -> `runs` -> `store` -> `views` -> `cli`, `tui`, `api`.
See docs/architecture.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from controller.flows.artifacts import link as link
    from controller.flows.artifacts import markdown as markdown
    from controller.flows.artifacts import table as table
    from controller.flows.caching import task_input_hash as task_input_hash
    from controller.flows.context import get_run_context as get_run_context
    from controller.flows.flow import flow as flow
    from controller.flows.live import tags as tags
    from controller.flows.logs import get_run_logger as get_run_logger
    from controller.flows.options import ConcurrencyLimit as ConcurrencyLimit
    from controller.flows.specs import CronSchedule as CronSchedule
    from controller.flows.specs import DeploymentSpec as DeploymentSpec
    from controller.flows.specs import IntervalSchedule as IntervalSchedule
    from controller.flows.specs import RRuleSchedule as RRuleSchedule
    from controller.flows.task import task as task
    from controller.flows.task import unmapped as unmapped

__version__ = "0.1.0"

_PUBLIC = {
    "ConcurrencyLimit": "options",
    "CronSchedule": "specs",
    "DeploymentSpec": "specs",
    "IntervalSchedule": "specs",
    "RRuleSchedule": "specs",
    "flow": "flow",
    "get_run_context": "context",
    "get_run_logger": "logs",
    "link": "artifacts",
    "markdown": "artifacts",
    "table": "artifacts",
    "tags": "live",
    "task": "task",
    "task_input_hash": "caching",
    "unmapped": "task",
}
"""What user code imports from here, and in which file of `flows` it is."""


if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """The public names, each loaded when it is asked for (PEP 562)."""
        home = _PUBLIC.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(__import__(f"{__name__}.flows.{home}", fromlist=[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
