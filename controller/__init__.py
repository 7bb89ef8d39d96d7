"""GitOps for Python flows: commit a YAML file, and the flow runs on time, pinned to the commit.

Importing this package loads nothing but itself; `from controller import flow` loads what user code needs of `sdk`.
The way of the data is the order of the folders:
`sources` -> `manifests` -> `reconcile` -> `scheduler` -> `runs` -> `store` -> `queries` -> `cli`, `api`.
See docs/architecture.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from controller.sdk.artifacts import link as link
    from controller.sdk.artifacts import markdown as markdown
    from controller.sdk.artifacts import table as table
    from controller.sdk.context import get_run_context as get_run_context
    from controller.sdk.deployment_specs import CronSchedule as CronSchedule
    from controller.sdk.deployment_specs import DeploymentSpec as DeploymentSpec
    from controller.sdk.deployment_specs import IntervalSchedule as IntervalSchedule
    from controller.sdk.deployment_specs import RRuleSchedule as RRuleSchedule
    from controller.sdk.flow import flow as flow
    from controller.sdk.flow_options import ConcurrencyLimit as ConcurrencyLimit
    from controller.sdk.run_context import tags as tags
    from controller.sdk.run_logger import get_run_logger as get_run_logger
    from controller.sdk.task import task as task
    from controller.sdk.task import unmapped as unmapped
    from controller.sdk.task_cache import task_input_hash as task_input_hash

__version__ = "0.1.0"

_PUBLIC = {
    "ConcurrencyLimit": "flow_options",
    "CronSchedule": "deployment_specs",
    "DeploymentSpec": "deployment_specs",
    "IntervalSchedule": "deployment_specs",
    "RRuleSchedule": "deployment_specs",
    "flow": "flow",
    "get_run_context": "context",
    "get_run_logger": "run_logger",
    "link": "artifacts",
    "markdown": "artifacts",
    "table": "artifacts",
    "tags": "run_context",
    "task": "task",
    "task_input_hash": "task_cache",
    "unmapped": "task",
}
"""What user code imports from here, and in which file of `sdk` it is."""


if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """The public names, each loaded when it is asked for (PEP 562)."""
        home = _PUBLIC.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(__import__(f"{__name__}.sdk.{home}", fromlist=[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
