"""Why a Python environment can't be built: the reason of the condition PythonReady, derived from what uv printed."""

import re

from controller.errors import ControllerError
from controller.text import shorten

_MAX_MESSAGE = 600

_NO_SPACE = re.compile(r"os error (?:28|122)\b|No space left on device|Disk quota exceeded")
_OFFLINE = "the network was disabled"
_UNAUTHORIZED = re.compile(r"lack of valid authentication credentials|returned a 403 Forbidden|client error \(40[13]")
_UNREACHABLE = re.compile(
    r"error sending request|Failed to fetch|Request failed|server error \(5|dns error|"
    r"response body|operation timed out|Connection refused|Git operation failed"
)
_NEEDS_BUILD = re.compile(
    r"building from source is disabled|Building source distributions .*is disabled|no usable wheel"
)
_UNSATISFIABLE = re.compile(r"No solution found|Couldn't parse|Unsupported|must have a hash|Distribution not found")
_HINTS = {
    "NotInCache": "UV_OFFLINE is set, so uv uses only its cache. Build the environment once with network access.",
    "StorageFull": "Free some space on the disk of the state directory; the controller retries automatically.",
    "IndexUnreachable": "The controller retries automatically.",
}


class PythonBuildError(ControllerError):
    """A Python environment can't be built now. `reason` is that of the condition PythonReady."""

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    @property
    def text(self) -> str:
        """The message with the hint, as sentences."""
        if self.hint is None:
            return self.message
        end = "" if self.message.endswith((".", "!", "?", "…")) else "."
        return f"{self.message}{end} {self.hint}"


def classify(output: str, fallback: str) -> PythonBuildError:
    """Return the error for the output of a uv command that failed. `fallback` is the reason if no other fits."""
    if _NO_SPACE.search(output):
        return PythonBuildError("StorageFull", "The disk is full.", hint=_HINTS["StorageFull"])
    summary = summarize(output)
    if _OFFLINE in output:
        return PythonBuildError("NotInCache", summary, hint=_HINTS["NotInCache"])
    if _UNAUTHORIZED.search(output):
        hint = "Check the credentials for the index in the controller's environment, such as UV_INDEX_<NAME>_PASSWORD."
        return PythonBuildError("IndexUnreachable", summary, hint=hint)
    if "Hash mismatch" in output:
        hint = "The file on the index is not the one that the lock names: lock again, or check the index."
        return PythonBuildError("BuildFailed", summary, hint=hint)
    if _NEEDS_BUILD.search(output):
        hint = "Choose a version that has a wheel for this Python, or start the controller with --allow-source-builds."
        return PythonBuildError(fallback, summary, hint=hint)
    if _UNREACHABLE.search(output):
        return PythonBuildError("IndexUnreachable", summary, hint=_HINTS["IndexUnreachable"])
    if _UNSATISFIABLE.search(output):
        return PythonBuildError("ResolveFailed", summary)
    return PythonBuildError(fallback, summary)


def summarize(output: str) -> str:
    """Return the error that uv printed, with its causes, as one line."""
    lines = [line.strip() for line in output.splitlines()]
    start = next((index for index, line in enumerate(lines) if line.startswith("error:")), 0)
    parts = []
    for line in lines[start:]:
        if line.startswith("hint:"):
            break
        if line:
            parts.append(line.removeprefix("error:").removeprefix("cause:").strip())
    return shorten("; ".join(parts) or "uv failed without a message", _MAX_MESSAGE)
