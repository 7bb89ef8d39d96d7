"""Static analysis of flows: find a flow in a Python file, and check parameters against its signature, with `ast`.

The data flow: `syntax_tree` (bytes to syntax) -> `namespace` (the names that the top level binds, with `bindings`) ->
`callables` (those that can be called, with `decorators` and `decorator_options`) -> `module` (the flow with a given
name) -> `signature` (its parameters, with `hint_resolution`, `known_types` and `classes`, which build types from the
hints) -> `parameter_check` (with `type_check`, which asks the SDK's converter, and `messages`).

Called by `manifests`, `reconcile.changed_code` and `queries.parameter_form`. Nothing here imports or runs user code, or
reads a file, the clock or the environment. Invalid input never raises. The analysis reports only problems that it is
sure of: it may miss a problem, but it must not report a false one. See docs/format.md.
"""

from controller.flow_analysis.file_content import Cause, cause_of
from controller.flow_analysis.flow_problems import ParameterCode, ParameterProblem, Problem
from controller.flow_analysis.imports import Import, candidates, module_name, module_paths, read_imports
from controller.flow_analysis.module import Module, read_module, refused_module, unread_module
from controller.flow_analysis.parameter_check import check
from controller.flow_analysis.signature import Flow
from controller.flow_analysis.syntax_tree import MAX_BYTES

__all__ = [
    "MAX_BYTES",
    "Cause",
    "Flow",
    "Import",
    "Module",
    "ParameterCode",
    "ParameterProblem",
    "Problem",
    "candidates",
    "cause_of",
    "check",
    "module_name",
    "module_paths",
    "read_imports",
    "read_module",
    "refused_module",
    "unread_module",
]
