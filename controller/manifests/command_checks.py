"""Is the command of a document one that can be started without a shell, and are its files in the repository?

`schema_messages` asks for the list to write instead of a command line, `run_targets` for the words and `build` for the
files.
"""

import json
import posixpath
import re
import shlex

from controller.flow_analysis import cause_of
from controller.manifests.flow_references import Flows
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import shorten
from controller.manifests.yaml.scalars import plain_scalar
from controller.model.deployments import CommandTarget
from controller.model.findings import Severity

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
"""Options whose value may be a character that is an operator of a shell elsewhere."""
_TAKES_OPERATORS = frozenset({"expr", "test", "[", "sh", "bash", "dash", "zsh", "ksh", "find", "echo", "printf", "tr"})
_INTERPRETER = re.compile(r"(?:python|pypy)[\d.]*|sh|bash|dash|zsh|ksh|node|ruby|perl|php|Rscript|julia|lua")
_SCRIPT = re.compile(r"[^\s$*?{}]+\.(?:py|sh|bash|zsh|js|mjs|cjs|rb|pl|php|R|r|jl|lua)")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_INLINE = frozenset({"-c", "-m", "-e", "-", "-s", "-r", "-E", "-p"})
_INLINE_OF_SHELLS = re.compile(r"-[A-Za-z]*[cs][A-Za-z]*|-")
"""`-c` and `-s`, also among other letters: what follows is no file. `-e` is an option like any other there."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_LONGEST_HINT = 1000


def as_list(text: str) -> str | None:
    """The command line `text` as a YAML list that does the same; None for one that is too long to be shown.

    A shell runs it where it needs one: for pipes, redirections, variables, patterns, and what only a shell can do.
    """
    words = command_words(text)
    written = f"[{', '.join(map(yaml_word, words))}]"
    return written if words and len(written) <= _LONGEST_HINT else None


def command_words(text: str) -> list[str]:
    """The program and its arguments for the command line `text`, which may be the shell's."""
    words = _words(text)
    return ["sh", "-c", text.strip()] if words is None else words


def yaml_word(word: str) -> str:
    """`word` as an item of a YAML list in brackets that is read as this text, in double quotes where it must be."""
    if _PLAIN.fullmatch(word) and word[0] not in "@%=" and plain_scalar(word) == word and word != "-":
        return word
    characters = (
        json.dumps(c, ensure_ascii=False)[1:-1] if c.isprintable() or c in "\n\t" else f"\\U{ord(c):08x}" for c in word
    )
    return f'"{"".join(characters)}"'


def check_words(draft: ValidationContext, command: list[str]) -> None:
    """Add a warning where the words of the command look like a command line for a shell."""
    program = command[0].strip()
    if program != "[" and (_SHELL.search(program) or len(program.split()) > 1):
        written = as_list(program if len(command) == 1 else f"{program} {shlex.join(command[1:])}")
        message = f"there is no program {shorten(program)}: the first word is a program, and no shell takes it apart"
        hint = f"write command: {written}" if written else "write each word as an item of its own"
        draft.add("ShellCommand", message, ("command", 0), hint=hint, severity=Severity.WARNING)
        return
    if program in _BUILT_IN or _ASSIGNMENT.match(program):
        _warn_of_a_shell_word(draft, program, command)
        return
    found = [index for index in range(1, len(command)) if _is_operator(command, index)]
    if found and posixpath.basename(program) not in _TAKES_OPERATORS:
        words = enumerate(command)
        line = " ".join(word if index and _is_operator(command, index) else shlex.quote(word) for index, word in words)
        written = as_list(line)
        message = f"{command[found[0]]} is an argument like any other: no shell runs the command"
        hint = f"write command: {written}" if written else "write command: [sh, -c, …]"
        draft.add("ShellCommand", message, ("command", found[0]), hint=hint, severity=Severity.WARNING)


def _is_operator(command: list[str], index: int) -> bool:
    """Whether the word is meant for a shell: it stands where an operator does, and is no option's value."""
    word, before = command[index], command[index - 1]
    after = command[index + 1] if index + 1 < len(command) else None
    if _DELIMITER.fullmatch(before):
        return False
    if word in _BETWEEN:
        return after is not None and _PROGRAM.match(after) is not None
    if word in _BEFORE_FILE:
        return after is not None
    return (word == "&" and after is None and not before.startswith("-")) or _JOINED.fullmatch(word) is not None


def _warn_of_a_shell_word(draft: ValidationContext, program: str, command: list[str]) -> None:
    """Add a warning for a first word that only a shell understands: `cd`, `source`, `NAME=value`."""
    message = f"there is no program {shorten(program)}: it is a word of the shell, and no shell runs the command"
    if program == "cd":
        hint = "write working_directory: and the directory, and the program as the first word"
    elif _ASSIGNMENT.match(program):
        name, _, value = program.partition("=")
        rest = f", and command: [{', '.join(map(yaml_word, command[1:]))}]" if len(command) > 1 else ""
        hint = f"write env: {{{name}: {yaml_word(value)}}}{rest}"
    else:
        hint = f"write command: {as_list(shlex.join(command)) or '[sh, -c, …]'}"
    draft.add("ShellCommand", message, ("command", 0), hint=hint, severity=Severity.WARNING)


def check_command_files(draft: ValidationContext, target: CommandTarget, directory: str, flows: Flows) -> None:
    """Add a warning where the program, or the script that an interpreter gets, is not in the repository.

    Only paths that count from `directory`, where the command starts, can be in it.
    """
    if not flows.is_whole:
        return
    for index in _file_words(target.argv):
        word = target.argv[index]
        path = posixpath.normpath(posixpath.join(directory, word))
        if path.startswith("../"):
            continue
        if not flows.has(path):
            if index == 0 and "/" not in word:
                continue
            where = f"from {directory}" if directory else "from the repository root"
            message = f"there is no file {shorten(path, 200)}"
            hint = f"commit it, or correct the path: it counts {where}"
            draft.add("CommandFileMissing", message, ("command", index), hint=hint, severity=Severity.WARNING)
        elif index == 0 and "/" not in word:
            message = f"{shorten(word)} is looked up on PATH, although the repository has a file of this name"
            hint = f"write ./{word}"
            draft.add("CommandFileMissing", message, ("command", index), hint=hint, severity=Severity.WARNING)
        else:
            _check_content(draft, index, path, flows.content(path))


def _check_content(draft: ValidationContext, index: int, path: str, content: bytes) -> None:
    """Add a warning where the file can't be started: its content is no script, or names no interpreter."""
    cause = cause_of(content)
    first = content.partition(b"\n")[0]
    if cause is not None and not content.startswith(b"\x7fELF"):
        message, hint = f"{shorten(path, 200)}:{cause.line}: {cause.message}", cause.hint
    elif index == 0 and first.startswith(b"#!") and first.endswith(b"\r"):
        message = f"{shorten(path, 200)}:1: the line #! ends with CRLF, so that no such interpreter is found"
        hint = "save the file with LF line endings; `*.sh text eol=lf` in .gitattributes keeps them"
    else:
        return
    draft.add("CommandFileInvalid", message, ("command", index), hint=hint, severity=Severity.WARNING)


def _file_words(argv: tuple[str, ...]) -> list[int]:
    """Which words are paths of files that may be in the repository."""
    program = argv[0]
    if program.startswith("/") or _SHELL.search(program) or len(program.split()) > 1:
        is_ours: list[int] = []
    else:
        is_ours = [0] if "/" in program or _SCRIPT.fullmatch(program) else []
    if not _INTERPRETER.fullmatch(posixpath.basename(program)):
        return is_ours
    is_shell = posixpath.basename(program) in _SHELLS
    for index, word in enumerate(argv[1:], start=1):
        if _INLINE_OF_SHELLS.fullmatch(word) if is_shell else word in _INLINE:
            break
        if not word.startswith("-"):
            is_script = _SCRIPT.fullmatch(word) is not None and not word.startswith(("/", "~"))
            return [*is_ours, index] if is_script else is_ours
    return is_ours


def _words(text: str) -> list[str] | None:
    """The words of a command line that needs no shell; None if it needs one."""
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if not words or _SHELL.search(text) or "=" in words[0] or words[0] in _BUILT_IN:
        return None if text.strip() else []
    return words
