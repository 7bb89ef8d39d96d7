"""Is this flow in that Python file, and do these parameters fit it? Answered from the text alone, with `ast`.

The way of the data: `reading` (bytes to syntax) -> `namespace` (what the top level binds, with `names`) -> `entries`
(what of it can be called, with `decorators` and `options`) -> `module` (which one is meant) -> `parameters` (its
signature, with `resolving`, `known` and `classes` for the hints) -> `checking` (with `judging`, `scalars`, `wording`).

Called by `manifests`, `reconcile.changed_code` and `views.forms`. Nothing here imports or runs user code, or touches a
file, the clock or the environment; no input raises. What can't be known for sure is not talked about: silence may be
wrong, a problem never is. See docs/format.md.
"""

from controller.signatures.checking import check
from controller.signatures.contents import Cause, cause_of
from controller.signatures.imports import Import, candidates, module_name, read_imports
from controller.signatures.module import Module, read_module, refused_module, unread_module
from controller.signatures.parameters import Flow
from controller.signatures.problems import ParameterCode, ParameterProblem, Problem
from controller.signatures.reading import MAX_BYTES

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
