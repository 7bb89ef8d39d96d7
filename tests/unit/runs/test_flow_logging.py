"""Messages of `logging` are in the log from INFO on, with their level, unless the flow configures `logging`."""

import re
import subprocess
import sys

import pytest

from controller.runs.executors.local.supervisor import flow_logging
from controller.runs.log_scan import level_of
from tests.unit.runs.conftest import RunFlow

LOADED = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("own", {flow_logging.__file__!r})
own = importlib.util.module_from_spec(spec)
spec.loader.exec_module(own)
assert "logging" not in sys.modules, "it costs milliseconds"
own.install()
assert "logging" not in sys.modules
"""
PYTHON = "import logging\nlog = logging.getLogger('sales')\n"
LOG_ALL = "for level in ('debug', 'info', 'warning'): getattr(log, level)(level)\n"


def printed(code: str, before: str = LOADED) -> list[str]:
    """Return the lines that Python prints on standard error; our own ones without the time."""
    command = [sys.executable, "-I", "-c", before + code]
    ended = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=True)
    return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3} \| ", "", line) for line in ended.stderr.splitlines()]


def test_messages_from_info_on_have_their_level_and_logger() -> None:
    own = ["INFO    | sales | info", "WARNING | sales | warning"]
    assert printed(PYTHON + LOG_ALL) == own
    assert printed("import importlib.util\nimportlib.util.find_spec('logging')\n" + PYTHON + LOG_ALL) == own
    assert printed(PYTHON + LOG_ALL, "import logging" + LOADED.replace("assert", "0 and")) == own
    assert printed("import logging\nlogging.info('one')\nlogging.error('two')") == [
        "INFO    | root | one",
        "ERROR   | root | two",
    ]


@pytest.mark.parametrize(
    "configuration",
    [
        "logging.basicConfig()",
        "logging.basicConfig(level=logging.DEBUG, format='%(levelname)s - %(message)s')",
        "logging.basicConfig(level='INFO', stream=sys.stderr, force=True)",
        "logging.getLogger().addHandler(logging.StreamHandler())",
        "logging.getLogger().setLevel('ERROR')",
        (
            "logging.config.dictConfig({'version': 1, 'handlers': {'a': {'class': 'logging.StreamHandler'}}, "
            "'root': {'handlers': ['a'], 'level': 'INFO'}})"
        ),
        (
            "logging.config.dictConfig({'version': 1, 'handlers': {'a': {'class': 'logging.StreamHandler'}}, "
            "'root': {'handlers': ['a']}})"
        ),
        "logging.disable()",
        "logging.basicConfig(); logging.warning('root'); logging.info('root')",
    ],
)
def test_a_flow_that_configures_logging_gets_what_python_does(configuration: str) -> None:
    code = f"import sys, logging.config\n{PYTHON}{configuration}\n{LOG_ALL}"
    assert printed(code) == printed(code, before="")


def test_a_level_without_a_handler_stays() -> None:
    assert printed(PYTHON + "log.setLevel('DEBUG')\n" + LOG_ALL)[0] == "DEBUG   | sales | debug"
    assert printed(PYTHON + "logging.getLogger().setLevel('WARNING')\n" + LOG_ALL) == ["WARNING | sales | warning"]


@pytest.mark.integration
def test_the_log_of_a_run_has_the_levels_of_logging(run_flow: RunFlow) -> None:
    code = (
        "import logging\nfrom controller import flow, get_run_logger\n\n@flow\ndef main():\n"
        "    logging.getLogger(__name__).info('loaded %d rows', 3)\n    get_run_logger().info('done')\n"
    )
    _, log = run_flow({"flows/a.py": code}, "flows/a.py:main")
    first, second = log.splitlines()
    assert first.endswith("| INFO    | flows.a | loaded 3 rows")
    assert second.endswith("| INFO    | main-1 | done")
    assert level_of(first) == level_of(second) == "INFO"
