"""What is wrong with a file as a whole. See `entry` for the form; docs/findings.md says the same."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

FILES = (
    Explanation(
        code="InvalidYaml",
        summary="the file is not YAML",
        meaning="It is not YAML.",
        remedy="Values that begin with `*`, `@`, `%`, `&`, `!`, `|`, `>` or a backtick must be in quotes; so must "
        "values that contain `: `. Indent with spaces.",
        wrong=NIGHTLY + "schedule:\n  cron: */5 * * * *\n",
        right=NIGHTLY + 'schedule:\n  cron: "*/5 * * * *"\n',
    ),
    Explanation(
        code="NotUtf8",
        summary="the file is not UTF-8",
        meaning="A byte is not UTF-8.",
        remedy="Save the file as UTF-8. A byte order mark and Windows line ends are fine.",
    ),
    Explanation(
        code="NotAManifest",
        summary="something else than a manifest",
        meaning="The file has the name of a manifest and holds something else: an unresolved merge "
        "conflict, a Git LFS pointer, an encrypted file, or data that is not text.",
        remedy="Do what the hint says, and commit the file.",
        wrong="name: nightly\n<<<<<<< HEAD\nflow: flows/etl.py:main\n"
        "=======\nflow: flows/report.py:main\n>>>>>>> other\n",
        right="name: nightly\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="InvalidCharacter",
        summary="a control character in the file",
        meaning="A control character stands in the file, or half of a surrogate pair in an escape; or `U+0085`, "
        "`U+2028` or `U+2029`, which end a line for some programs only, so that a key could hide behind a comment.",
        remedy='Remove it, or write it as an escape in double quotes: `"\\u2028"`. A file with many `U+0000` is '
        "UTF-16: save it as UTF-8.",
    ),
    Explanation(
        code="FileTooLarge",
        summary="the file is too large",
        meaning="The file has more than 1 MiB.",
        remedy="Split it.",
    ),
    Explanation(
        code="TooDeep",
        summary="lists and mappings are nested too deep",
        meaning="Lists and mappings are nested deeper than 32 levels.",
        remedy="Make the value flatter, or keep it in a file of its own and name that file in a parameter.",
        wrong="name: deep\nflow: flows/etl.py:main\nparameters: {a: " + "[" * 33 + "1" + "]" * 33 + "}\n",
        right="name: deep\nflow: flows/etl.py:main\nparameters: {a: data/deep.json}\n",
    ),
    Explanation(
        code="TooManyNodes",
        summary="the file has too many values",
        meaning="The file has more than 20,000 values, aliases counted as what they stand for.",
        remedy="Split it, or use fewer aliases.",
    ),
    Explanation(
        code="TooMuchText",
        summary="the texts of the file are too long together",
        meaning="The texts of the file have more than 1 MiB together, aliases counted as what they stand for.",
        remedy="Split the file, or use fewer aliases.",
    ),
    Explanation(
        code="ScalarTooLong",
        summary="one text is too long",
        meaning="One text has more than 64 KiB.",
        remedy="Keep data in a file of its own, and name that file in a parameter.",
    ),
    Explanation(
        code="RefusedFile",
        summary="the file must not be read",
        meaning="A file that has the name of a manifest, but must not be read: in a commit a link or a submodule; in a "
        "directory a link that leads out of it, a device or a pipe; anywhere a file over 1 MiB, or with a name that is "
        "not UTF-8.",
        remedy="Put a regular file there, or rename it.",
    ),
    Explanation(
        code="TooManyFiles",
        summary="there are too many manifests",
        meaning="There are more than 10,000 manifests. The first 10,000 by path are read; what the others declared "
        "stays in force.",
        remedy="Put several deployments into one file.",
    ),
    Explanation(
        code="TooManyFindings",
        summary="the file has more findings than are shown",
        meaning="The file has more than 200 findings. The rest is not shown.",
        remedy="Correct the first ones.",
    ),
    Explanation(
        code="EmptyFile",
        summary="the file declares nothing",
        severity=Severity.WARNING,
        meaning="A warning: the file declares nothing.",
        remedy="Remove it.",
        wrong="# nothing but a comment\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="PathClash",
        summary="two paths that differ in case only",
        severity=Severity.WARNING,
        meaning="A warning: another manifest has the same path but for upper and lower case. Both are "
        "read here; a checkout on macOS or Windows keeps only one.",
        remedy="Rename one of them.",
    ),
    Explanation(
        code="PythonNotRendered",
        summary="a Python spec was not executed",
        severity=Severity.WARNING,
        meaning="A warning: the file is a Python spec, and what it declares is known only once it has been executed. "
        "`controller validate` and `controller plan` do not do that, because a pull request must not run code on "
        "whoever checks it; `controller run` does.",
        remedy="Use `controller validate --render-python` where its code may be run.",
    ),
    Explanation(
        code="PythonSpecFailed",
        summary="a Python spec could not be executed",
        meaning="A Python spec raised an error, took longer than 30 seconds, declared more than 1 MiB, or ended its "
        "process. The finding is at the last line of the file that was reached.",
        remedy="Correct it: it runs as `python` would run it, from the repository's root, with the modules that a flow "
        "could import.",
    ),
)
