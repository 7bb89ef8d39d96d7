"""Explanations of errors in a file as a whole."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

FILES = (
    Explanation(
        code="InvalidYaml",
        summary="the file is not valid YAML",
        meaning="The file is not valid YAML.",
        remedy="Quote values that begin with `*`, `@`, `%`, `&`, `!`, `|`, `>` or a backtick, and values that contain "
        "`: `. Indent with spaces.",
        wrong=NIGHTLY + "schedule:\n  cron: */5 * * * *\n",
        right=NIGHTLY + 'schedule:\n  cron: "*/5 * * * *"\n',
    ),
    Explanation(
        code="NotUtf8",
        summary="the file is not UTF-8",
        meaning="The file contains a byte that is not valid UTF-8.",
        remedy="Save the file as UTF-8. A byte order mark and Windows line endings are allowed.",
    ),
    Explanation(
        code="NotAManifest",
        summary="the file is not a manifest",
        meaning="The file has the name of a manifest but different content: an unresolved merge conflict, a Git LFS "
        "pointer, encrypted data, or data that is not text.",
        remedy="Follow the hint, and commit the file.",
        wrong="name: nightly\n<<<<<<< HEAD\nflow: flows/etl.py:main\n"
        "=======\nflow: flows/report.py:main\n>>>>>>> other\n",
        right="name: nightly\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="InvalidCharacter",
        summary="a control character in the file",
        meaning="The file contains a control character, an escape of a lone surrogate, or `U+0085`, `U+2028` or "
        "`U+2029`. Only some programs treat the last three as line breaks, so a key could be hidden behind a comment.",
        remedy='Remove the character, or write it as an escape in double quotes: `"\\u2028"`. A file with many '
        "`U+0000` is UTF-16: save it as UTF-8.",
    ),
    Explanation(
        code="FileTooLarge",
        summary="the file is too large",
        meaning="The file is larger than 1 MiB.",
        remedy="Split the file.",
    ),
    Explanation(
        code="TooDeep",
        summary="lists and mappings are nested too deeply",
        meaning="Lists and mappings are nested deeper than 32 levels.",
        remedy="Reduce the nesting, or store the data in a separate file and pass its path in a parameter.",
        wrong="name: deep\nflow: flows/etl.py:main\nparameters: {a: " + "[" * 33 + "1" + "]" * 33 + "}\n",
        right="name: deep\nflow: flows/etl.py:main\nparameters: {a: data/deep.json}\n",
    ),
    Explanation(
        code="TooManyNodes",
        summary="the file has too many values",
        meaning="The file has more than 20,000 values. An alias counts with all the values that it refers to.",
        remedy="Split the file, or use fewer aliases.",
    ),
    Explanation(
        code="TooMuchText",
        summary="the strings in the file are too long in total",
        meaning="The strings in the file are longer than 1 MiB in total. An alias counts with all the strings that it "
        "refers to.",
        remedy="Split the file, or use fewer aliases.",
    ),
    Explanation(
        code="ScalarTooLong",
        summary="a string is too long",
        meaning="A string is longer than 64 KiB.",
        remedy="Store the data in a separate file, and pass its path in a parameter.",
    ),
    Explanation(
        code="RefusedFile",
        summary="the file is not a regular, readable file",
        meaning="The file has the name of a manifest but is not read. In a commit, this is a link or a submodule; in a "
        "directory, a link that leads out of it, a device or a pipe; in both, a file larger than 1 MiB or with a name "
        "that is not UTF-8.",
        remedy="Replace it with a regular file, or rename it.",
    ),
    Explanation(
        code="TooManyFiles",
        summary="there are too many manifests",
        meaning="There are more than 10,000 manifests. The first 10,000, ordered by path, are read. Deployments that "
        "the others declared stay active.",
        remedy="Declare several deployments in one file.",
    ),
    Explanation(
        code="TooManyFindings",
        summary="the file has more findings than are shown",
        meaning="The file has more than 200 findings; the rest are not shown.",
        remedy="Fix the findings shown, and validate again.",
    ),
    Explanation(
        code="EmptyFile",
        summary="the file declares no deployments",
        severity=Severity.WARNING,
        meaning="A warning: the file declares no deployments.",
        remedy="Remove the file.",
        wrong="# nothing but a comment\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="PathClash",
        summary="two paths that differ only in case",
        severity=Severity.WARNING,
        meaning="A warning: the path of another manifest differs only in upper and lower case. Both files are read "
        "here, but a checkout on macOS or Windows keeps only one.",
        remedy="Rename one of them.",
    ),
    Explanation(
        code="PythonNotRendered",
        summary="a Python spec was not executed",
        severity=Severity.WARNING,
        meaning="A warning: the file is a Python spec, so its deployments are known only after it has been executed. "
        "`controller validate` and `controller plan` do not execute it, because a pull request must not run code on "
        "the machine that checks it. `controller run` does.",
        remedy="Use `controller validate --render-python` where running its code is safe.",
    ),
    Explanation(
        code="PythonSpecFailed",
        summary="a Python spec failed",
        meaning="A Python spec raised an error, took longer than 30 seconds, declared more than 1 MiB, or exited. The "
        "finding points to the last line of the file that was executed.",
        remedy="Correct the spec. It runs as with `python`, in the repository root, and can import the same modules as "
        "a flow.",
    ),
)
