r"""Standard input, output and errors: there, and able to take every character. Called first by the command line.

A character that the terminal's encoding lacks is written as its escape (`\u017c`), so printing never fails for it.
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
"""The file name in the errors of standard output."""

_ASCII = "controller-ascii"


def prepare() -> None:
    """Give the process its three standard streams, whatever it was started with."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # A file or a socket that is opened later must not take the place of a closed stream.
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _through(_Output, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _through(_Errors, sys.stderr)
    codecs.register(_find_ascii)
    for stream in (sys.stdout, sys.stderr):
        _escape(stream, sys._xoptions.get("controller-output"))


def is_utf8(stream: TextIO) -> bool:
    """Whether text written to this stream becomes UTF-8."""
    return (stream.encoding or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"


def discard_output() -> None:
    """Let what is still to be printed go nowhere: Python would complain again when it flushes at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Output(io.FileIO):
    """Standard output, which names itself in its errors."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = STANDARD_OUTPUT
            raise


class _Errors(io.FileIO):
    """Standard errors. Where they cannot be written to, nobody can be told; the exit code still says what happened."""

    def write(self, data: "Buffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(memoryview(data).cast("B"))


def _through(raw: type[io.FileIO], stream: Any) -> TextIO:
    """The same stream, written to through `raw`."""
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=getattr(stream, "write_through", False),
    )


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _escape(stream: TextIO, encoding: object) -> None:
    """Write what the encoding lacks as escapes; `encoding` replaces the stream's own."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        return
    wanted = encoding if isinstance(encoding, str) else stream.encoding
    with suppress(LookupError):
        # Click takes a stream of plain ASCII for a mistake and writes UTF-8 to it; it does not know this name.
        wanted = _ASCII if codecs.lookup(wanted).name == "ascii" else wanted
        reconfigure(encoding=wanted, errors="backslashreplace")


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
