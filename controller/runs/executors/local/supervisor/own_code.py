"""Encodes the bytecode of the modules that a flow in a new interpreter loads. Used by the fork server.

Such an interpreter would find, check and read a file for each module. With the bytecode it only executes them.
"""

import marshal
import types
from typing import Any

from controller.runs.executors.local.supervisor import flow_call


def encode() -> bytes:
    """Return the bytecode of our modules in this interpreter, by their names in `flow_call.load_own`.

    They are loaded (see `flow_call.prepare`). Returns nothing if the bytecode of one of them can't be read.
    """
    own = flow_call.OwnModules
    modules: dict[str, Any] = {
        "flow_call": flow_call,
        **{module.__name__: module for module in (own.loader, own.logging, own.exit, own.stopping, own.fitting)},
    }
    try:
        codes = {name: module.__spec__.loader.get_code(module.__spec__.name) for name, module in modules.items()}
    except (OSError, ImportError):
        return b""
    return marshal.dumps(codes) if all(isinstance(code, types.CodeType) for code in codes.values()) else b""
