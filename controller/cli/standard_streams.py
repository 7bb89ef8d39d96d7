r"""Makes sure that the three standard streams are open and accept every character. `cli.main` calls it first.

A character that the encoding of the terminal lacks is written as an escape (`\u017c`), so that printing never fails.
"""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

STANDARD_OUTPUT = "standard output"
"""The file name in OSErrors that come from standard output."""

_ASCII = "controller-ascii"


def prepare_streams() -> None:
    """Open and configure standard input, output and error; some may be closed when the process starts."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Otherwise a file or a socket that is opened later would get the number of the closed stream.
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _null_stream()
    if sys.stderr is None:
        sys.stderr = _null_stream()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrap(_Output, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrap(_Errors, sys.stderr)
    codecs.register(_find_ascii)
    for stream in (sys.stdout, sys.stderr):
        _escape_unencodable(stream, sys._xoptions.get("controller-output"))


def has_screen() -> bool:
    """Whether standard output is a terminal that can move its cursor."""
    from controller import settings

    return sys.stdout.isatty() and settings.has_screen()


def can_show_live_view() -> bool:
    """Whether the terminal also takes keys and shows every character of the live view."""
    return has_screen() and sys.stdin is not None and sys.stdin.isatty() and is_utf8(sys.stdout)


def is_utf8(stream: TextIO) -> bool:
    """Whether this stream encodes text as UTF-8."""
    return (stream.encoding or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"


def discard_output() -> None:
    """Redirect standard output to /dev/null: the flush when Python exits would raise the same error again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_to_terminal(text: str) -> None:
    """Write to standard output. Does nothing if the terminal is gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        discard_output()


class _Output(io.FileIO):
    """Standard output; its OSErrors have the file name `STANDARD_OUTPUT`."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # Without an error number: click would exit with 1, as if there were findings.
            raise BrokenPipeError("The reader of standard output has closed it.") from None
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


class _Errors(io.FileIO):
    """Standard error. Errors while writing to it are ignored; the exit code still reports the failure."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


def _wrap(raw: type[io.FileIO], stream: Any) -> TextIO:
    """Return a text stream with the same file descriptor and settings that writes through `raw`."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=getattr(stream, "write_through", False),
    )


def _null_stream() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _escape_unencodable(stream: TextIO, encoding: object) -> None:
    """Make the stream write characters that it cannot encode as escapes; `encoding` overrides its own encoding."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        return
    name = encoding if isinstance(encoding, str) else stream.encoding
    with suppress(LookupError):
        # Click treats plain ASCII as a misconfiguration and writes UTF-8; it does not recognize this alias.
        name = _ASCII if codecs.lookup(name).name == "ascii" else name
        reconfigure(encoding=name, errors="backslashreplace")


def _find_ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_ASCII,
        encode=ascii_.encode,
        decode=ascii_.decode,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
        streamreader=ascii_.streamreader,
        streamwriter=ascii_.streamwriter,
    )
