"""Checks that a command can start without a shell, and that its files are in the repository.

`schema_messages` calls `as_list` for a command that was written as one string, `run_targets` calls `check_words`, and
`build` calls `check_command_files`.
"""

import json
import posixpath
import re
import shlex
from typing import TYPE_CHECKING

from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.scalars import plain_scalar
from controller.model.deployments import CommandTarget
from controller.model.findings import Severity
from controller.text import shorten

if TYPE_CHECKING:
    from controller.manifests.flow_references import Flows

_PLAIN = re.compile(r"(?:[A-Za-z0-9_./+=@%^-]|:(?=[^\s\]]))+", re.ASCII)
_SHELL = re.compile(r"[|&;<>()$`*?\[\]~#!{}\\\n]")
_BUILT_IN = frozenset(
    {"cd", "source", ".", "export", "set", "unset", "ulimit", "umask", "exec", "eval", "trap", "alias"}
)
_BETWEEN = frozenset({"|", "||", "&&", "|&", ";"})
_BEFORE_FILE = frozenset({">", ">>", "<", "2>", "2>>", "&>"})
_JOINED = re.compile(r"(?:[12&]?>>?)(?:&[12]|/dev/null|[\w./-]+\.\w+)", re.ASCII)
_PROGRAM = re.compile(r"[\w./~$\"'{(\[]")
_DELIMITER = re.compile(r"-[dtsF]|--?[\w-]*(?:sep|delim|op|char|quote)[\w-]*", re.IGNORECASE)
"""Options whose value may be a character that is otherwise a shell operator."""
_TAKES_OPERATORS = frozenset({"expr", "test", "[", "sh", "bash", "dash", "zsh", "ksh", "find", "echo", "printf", "tr"})
_INTERPRETER = re.compile(r"(?:python|pypy)[\d.]*|sh|bash|dash|zsh|ksh|node|ruby|perl|php|Rscript|julia|lua")
_SCRIPT = re.compile(r"[^\s$*?{}]+\.(?:py|sh|bash|zsh|js|mjs|cjs|rb|pl|php|R|r|jl|lua)")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_INLINE = frozenset({"-c", "-m", "-e", "-", "-s", "-r", "-E", "-p"})
_INLINE_OF_SHELLS = re.compile(r"-[A-Za-z]*[cs][A-Za-z]*|-")
"""`-c` and `-s`, also combined with other letters: no script file follows. For shells, `-e` does not mean that."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_WRAPPERS: dict[str, tuple[int, frozenset[str]]] = {
    "env": (0, frozenset({"-u", "--unset", "-a", "--argv0"})),
    "ionice": (0, frozenset({"-c", "--class", "-n", "--classdata"})),
    "nice": (0, frozenset({"-n", "--adjustment"})),
    "nohup": (0, frozenset()),
    "setsid": (0, frozenset()),
    "stdbuf": (0, frozenset({"-i", "-o", "-e", "--input", "--output", "--error"})),
    "timeout": (1, frozenset({"-k", "--kill-after", "-s", "--signal"})),
}
"""Programs that start the program after them: the number of arguments before it, and the options with a value."""
_UNCLEAR = ("-C", "--chdir", "-S", "--split-string")
"""Options of `env` that start the program in another directory, or split one word into several."""
_LONGEST_HINT = 1000


def as_list(text: str) -> str | None:
    """Return the command line `text` as an equivalent YAML list; None if that is empty or too long for a hint.

    The list starts a shell if the line needs one: for pipes, redirections, variables, patterns and built-ins.
    """
    words = command_words(text)
    written = f"[{', '.join(map(yaml_word, words))}]"
    return written if words and len(written) <= _LONGEST_HINT else None


def command_words(text: str) -> list[str]:
    """Return the program and arguments for the command line `text`: `sh -c` if it needs a shell."""
    words = _words(text)
    return ["sh", "-c", text.strip()] if words is None else words


def yaml_word(word: str) -> str:
    """Return `word` as an item of a YAML list in brackets, in double quotes if it would not be read as this string."""
    if _PLAIN.fullmatch(word) and word[0] not in "@%=:" and plain_scalar(word) == word and word != "-":
        return word
    characters = (
        json.dumps(c, ensure_ascii=False)[1:-1] if c.isprintable() or c in "\n\t" else f"\\U{ord(c):08x}" for c in word
    )
    return f'"{"".join(characters)}"'


def check_words(context: ValidationContext, command: list[str]) -> None:
    """Add a warning if the words of the command look like a shell command line."""
    program = command[0].strip()
    if program != "[" and (_SHELL.search(program) or len(program.split()) > 1):
        written = as_list(program if len(command) == 1 else f"{program} {shlex.join(command[1:])}")
        message = f"{shorten(program)} is not a program: no shell splits the command into words"
        hint = f"write command: {written}" if written else "write each word as a separate item"
        context.add("ShellCommand", message, ("command", 0), hint=hint, severity=Severity.WARNING)
        return
    if program in _BUILT_IN or _ASSIGNMENT.match(program):
        _warn_about_shell_syntax(context, program, command)
        return
    operators = [index for index in range(1, len(command)) if _is_operator(command, index)]
    if operators and posixpath.basename(program) not in _TAKES_OPERATORS:
        words = enumerate(command)
        line = " ".join(word if index and _is_operator(command, index) else shlex.quote(word) for index, word in words)
        written = as_list(line)
        message = f"{command[operators[0]]} is passed to the program as an argument: no shell runs the command"
        hint = f"write command: {written}" if written else "write command: [sh, -c, …]"
        context.add("ShellCommand", message, ("command", operators[0]), hint=hint, severity=Severity.WARNING)


def _is_operator(command: list[str], index: int) -> bool:
    """Return whether the word is meant for a shell: it is where an operator would be, and not an option's value."""
    word, before = command[index], command[index - 1]
    after = command[index + 1] if index + 1 < len(command) else None
    if _DELIMITER.fullmatch(before):
        return False
    if word in _BETWEEN:
        return after is not None and _PROGRAM.match(after) is not None
    if word in _BEFORE_FILE:
        return after is not None
    return (word == "&" and after is None and not before.startswith("-")) or _JOINED.fullmatch(word) is not None


def _warn_about_shell_syntax(context: ValidationContext, program: str, command: list[str]) -> None:
    """Add a warning about a first word that only a shell understands: `cd`, `source`, `NAME=value`."""
    message = f"{shorten(program)} is shell syntax, not a program: no shell runs the command"
    if program == "cd":
        hint = "set working_directory to the directory, and start the command with the program"
    elif _ASSIGNMENT.match(program):
        name, _, value = program.partition("=")
        rest = f", and command: [{', '.join(map(yaml_word, command[1:]))}]" if len(command) > 1 else ""
        hint = f"write env: {{{name}: {yaml_word(value)}}}{rest}"
    else:
        hint = f"write command: {as_list(shlex.join(command)) or '[sh, -c, …]'}"
    context.add("ShellCommand", message, ("command", 0), hint=hint, severity=Severity.WARNING)


def check_command_files(context: ValidationContext, target: CommandTarget, directory: str, flows: "Flows") -> None:
    """Add a warning if the program, or the script of an interpreter, is not in the repository.

    Only relative paths are checked; they are resolved from `directory`, where the command starts.
    """
    if not flows.is_whole:
        return
    program = _program_index(target.argv)
    for index in _file_words(target.argv, program):
        word = target.argv[index]
        path = posixpath.normpath(posixpath.join(directory, word))
        if path.startswith("../"):
            continue
        if not flows.has_file(path):
            if index == program and "/" not in word:
                continue
            base = f"the working directory {directory}" if directory else "the repository root"
            message = f"file {shorten(path, 200)} does not exist"
            hint = f"commit it, or correct the path, which is relative to {base}"
            context.add("CommandFileMissing", message, ("command", index), hint=hint, severity=Severity.WARNING)
        elif index == program and "/" not in word:
            message = f"{shorten(word)} is looked up on PATH, although the repository has a file of that name"
            hint = f"write ./{word}"
            context.add("CommandFileMissing", message, ("command", index), hint=hint, severity=Severity.WARNING)
        else:
            _check_content(context, index, path, flows.content(path), is_program=index == program)


def _check_content(context: ValidationContext, index: int, path: str, content: bytes, *, is_program: bool) -> None:
    """Add a warning if the file can't run: its content is not a script, or its `#!` line is broken."""
    from controller.flow_analysis import cause_of  # not needed for stored deployments, whose files are not checked

    cause = cause_of(content)
    first = content.partition(b"\n")[0]
    if cause is not None and not content.startswith(b"\x7fELF"):
        message, hint = f"{shorten(path, 200)}:{cause.line}: {cause.message}", cause.hint
    elif is_program and first.startswith(b"#!") and first.endswith(b"\r"):
        message = f"{shorten(path, 200)}:1: the #! line ends with CRLF, so its interpreter can't be found"
        hint = "save the file with LF line endings; `*.sh text eol=lf` in .gitattributes keeps them"
    else:
        return
    context.add("CommandFileInvalid", message, ("command", index), hint=hint, severity=Severity.WARNING)


def _program_index(argv: tuple[str, ...]) -> int:
    """Return the index of the program that does the work: the one that `env`, `nice` or the like starts."""
    index = 0
    while argv[index].removeprefix("/usr").removeprefix("/bin/") in _WRAPPERS:
        program = _wrapped_index(argv, index)
        if program is None:
            break
        index = program
    return index


def _wrapped_index(argv: tuple[str, ...], wrapper: int) -> int | None:
    """Return the index of the program that the program at `wrapper` starts; None if that is unclear."""
    arguments, with_value = _WRAPPERS[posixpath.basename(argv[wrapper])]
    index = wrapper + 1
    while index < len(argv) and not argv[index].startswith(_UNCLEAR):
        word = argv[index]
        if word.startswith("-"):
            index += 2 if word in with_value else 1
        elif _ASSIGNMENT.match(word):
            index += 1
        elif arguments:
            arguments, index = arguments - 1, index + 1
        else:
            return index
    return None


def _file_words(argv: tuple[str, ...], start: int) -> list[int]:
    """Return the indexes of the words that are paths of files that may be in the repository; the program is `start`."""
    program = argv[start]
    if program.startswith("/") or _SHELL.search(program) or len(program.split()) > 1:
        indexes: list[int] = []
    else:
        indexes = [start] if "/" in program or _SCRIPT.fullmatch(program) else []
    if not _INTERPRETER.fullmatch(posixpath.basename(program)):
        return indexes
    is_shell = posixpath.basename(program) in _SHELLS
    for index, word in enumerate(argv[start + 1 :], start=start + 1):
        if _INLINE_OF_SHELLS.fullmatch(word) if is_shell else word in _INLINE:
            break
        if not word.startswith("-"):
            is_script = _SCRIPT.fullmatch(word) is not None and not word.startswith(("/", "~"))
            return [*indexes, index] if is_script else indexes
    return indexes


def _words(text: str) -> list[str] | None:
    """Return the words of a command line; None if it needs a shell."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if not words or _SHELL.search(text) or "=" in words[0] or words[0] in _BUILT_IN:
        return None if text.strip() else []
    return words
