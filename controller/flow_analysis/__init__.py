"""Is this flow in that Python file, and do these parameters fit it? Answered from the text alone, with `ast`.

The way of the data: `syntax_tree` (bytes to syntax) -> `namespace` (what the top level binds, with `bindings`) ->
`callables` (what of it can be called, with `decorators` and `decorator_options`) -> `module` (which one is meant) ->
`signature` (its signature, with `hint_resolution`, `known_types` and `classes` for the hints) -> `parameter_check`
(with `type_check`, `scalar_checks`, `messages`).

Called by `manifests`, `reconcile.changed_code` and `queries.parameter_form`. Nothing here imports or runs user code,
or touches a file, the clock or the environment; no input raises. What can't be known for sure is not talked about:
silence may be wrong, a problem never is. See docs/format.md.
"""

from controller.flow_analysis.file_content import Cause, cause_of
from controller.flow_analysis.flow_problems import ParameterCode, ParameterProblem, Problem
from controller.flow_analysis.imports import Import, candidates, module_name, read_imports
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
    "read_imports",
    "read_module",
    "refused_module",
    "unread_module",
]
