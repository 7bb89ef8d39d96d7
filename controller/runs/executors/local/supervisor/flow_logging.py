"""The default of Python's `logging` in the process of a flow: INFO and above, with time, level and logger, on stderr.

Used by `flow_call`. It imports only the standard library, and must not import anything else of the controller: it is
loaded as a file, alone. Nothing happens before the flow or a library imports `logging`, which costs milliseconds.

Python's own default, the handler of last resort, prints messages of WARNING and above without their level. A flow that
configures the root logger keeps its configuration: with the first handler of the root logger, Python's own default is
restored, also its level WARNING. A level that the flow sets stays.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Sequence
    from typing import Any

_FORMAT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(name)s | %(message)s"
"""That of `controller.sdk.run_logger`, with the logger instead of the run."""


def install() -> None:
    """Change the default as soon as `logging` is imported."""
    logging = sys.modules.get("logging")
    if logging is None:
        sys.meta_path.insert(0, _Finder())
    else:
        change_default(logging)


class _Finder:
    """Finds `logging` as without this finder, and changes the default when it has been executed."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> Any:  # noqa: ARG002
        """Return the spec of `logging`; None for other modules."""
        if name != "logging":
            return None
        others = (finder.find_spec(name, path) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                del loader.exec_module
                sys.meta_path.remove(self)
                execute(module)
                change_default(module)

            loader.exec_module = exec_module
        return spec


def change_default(logging: Any) -> None:
    """Let the handler of last resort print INFO and above with the level, unless `logging` is already configured."""
    root, handler, basic_config = logging.root, logging.lastResort, logging.basicConfig
    if root.handlers or root.level != logging.WARNING or handler is None or type(root) is not logging.RootLogger:
        return
    level, formatter = handler.level, logging.Formatter(_FORMAT, "%H:%M:%S")

    def restore() -> None:
        handler.setLevel(level)
        handler.setFormatter(None)

    class DefaultRoot(logging.RootLogger):  # type: ignore[misc]
        """The root logger until the flow configures it."""

        def setLevel(self, level: Any) -> None:
            """Keep this level, whatever else is configured."""
            self.__class__ = logging.RootLogger
            self.setLevel(level)

        def addHandler(self, handler: Any) -> None:
            """Restore the default of Python, then add the handler."""
            restore()
            self.setLevel(logging.WARNING)
            self.addHandler(handler)

    def basicConfig(**options: Any) -> None:
        # `logging.info()` calls this function without options if the root logger has no handler.
        is_implicit = sys._getframe(1).f_globals is vars(logging)
        if not (is_implicit and handler.formatter is formatter):
            restore()
            basic_config(**options)

    basicConfig.__doc__ = basic_config.__doc__
    handler.setLevel(logging.NOTSET)
    handler.setFormatter(formatter)
    root.setLevel(logging.INFO)
    root.__class__ = DefaultRoot
    logging.basicConfig = basicConfig
