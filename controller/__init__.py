"""GitOps for Python flows: commit a YAML file, and the flow runs on schedule, pinned to the commit.

Importing this package loads no other module; `from controller import flow` loads the part of `sdk` that it needs.
Data flows through the packages in this order:
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
    from controller.sdk.run_states import Skip as Skip
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
    "Skip": "run_states",
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
"""The names that user code imports from this package, and the modules of `sdk` that define them."""


if not TYPE_CHECKING:  # type checkers only see the imports above

    def __getattr__(name: str) -> object:
        """Load a public name when it is first used (PEP 562)."""
        module = _PUBLIC.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(__import__(f"{__name__}.sdk.{module}", fromlist=[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
