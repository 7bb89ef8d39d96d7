"""Explanations of errors in the structure of a deployment and in what it runs."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

_RENAMED = "name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n"

SHAPE = (
    Explanation(
        code="NotAMapping",
        summary="a document is not a mapping",
        meaning="A document is a list or a single value instead of a deployment.",
        remedy="Write a deployment as a mapping with the keys `name`, what to run, and when.",
        wrong="- nightly\n",
        right="- name: nightly\n  flow: flows/etl.py:main\n",
    ),
    Explanation(
        code="UnknownKey",
        summary="unknown key",
        meaning="This key is not allowed here. The hint suggests the most similar valid key.",
        remedy="Correct or remove the key.",
        wrong=NIGHTLY + "schedul: {interval: 1h}\n",
        right=NIGHTLY + "schedule: {interval: 1h}\n",
    ),
    Explanation(
        code="MissingKey",
        summary="a required key is missing",
        meaning="A required key is missing: `name`, or one of `flow`, `flow_location` and `command`, or one of `cron`, "
        "`interval`, `rrule` and `at`.",
        remedy="Add the missing key.",
        wrong="name: nightly\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="ConflictingKeys",
        summary="keys that cannot be combined",
        meaning="Two keys cannot be combined, or a key requires another one that is missing.",
        remedy="Remove one of the keys, or add the missing one.",
        wrong=NIGHTLY + "command: [python, etl.py]\n",
        right="name: nightly\ncommand: [python, etl.py]\n",
    ),
    Explanation(
        code="WrongType",
        summary="a value of the wrong type",
        meaning="The value has a different type than the key requires.",
        remedy="Often this is a number or a boolean where a string is required: write it in quotes.",
        wrong=NIGHTLY + "version: 1.4\n",
        right=NIGHTLY + 'version: "1.4"\n',
    ),
    Explanation(
        code="InvalidValue",
        summary="a value in the wrong format",
        meaning="The value has the right type but is not valid for this key.",
        remedy="Write the value in the format that the message or its hint describes.",
        wrong="name: Nightly Sales\nflow: flows/etl.py:main\n",
        right="name: nightly-sales\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="InvalidSize",
        summary="an invalid size",
        meaning="The amount of memory is not a valid size or is not between 1 MiB and 64 TiB.",
        remedy="Write a number of bytes, or a size such as `512MiB`, `1GiB` or `2GB`.",
        wrong=NIGHTLY + "resources: {memory: 1 gig}\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="ControlCharacter",
        summary="an unprintable character or one that reorders text",
        meaning="A tag, the version, an argument or a variable contains a control character, or a character that "
        "reorders the text around it on a screen.",
        remedy="Remove the character.",
        wrong=NIGHTLY + 'tags: ["etl\\u202e"]\n',
        right=NIGHTLY + 'tags: ["etl"]\n',
    ),
    Explanation(
        code="DuplicateName",
        summary="two deployments have the same name",
        meaning="Two documents, or two combinations of a matrix, have the same name or names that differ only in case. "
        "The finding shows both, and neither is applied.",
        remedy="Rename one of them; in a matrix, write the keys that differ into the name.",
        wrong=NIGHTLY + "---\nname: nightly\nflow: flows/report.py:main\n",
        right=NIGHTLY + "---\nname: nightly-report\nflow: flows/report.py:main\n",
    ),
    Explanation(
        code="CaseOnlyRename",
        summary="a rename that changes only the case",
        meaning="The name differs only in case from that of an active deployment, or from `renamed_from`. Names that "
        "differ only in case are the same name, so the deployment keeps its last valid version.",
        remedy="Write the name as before, or choose a name that differs in more than case. To change the case, rename "
        "the deployment to another name first, apply that, and rename it again.",
        wrong="name: Nightly\nflow: flows/etl.py:main\nrenamed_from: nightly\n",
        right=_RENAMED,
    ),
    Explanation(
        code="RenamedFromDeclared",
        summary="`renamed_from` names a declared deployment",
        meaning="`renamed_from` names a deployment that is still declared, so it was not renamed.",
        remedy="Remove `renamed_from`, or the document that still has the old name.",
        wrong=_RENAMED + "---\nname: nightly\nflow: flows/etl.py:main\n",
        right=_RENAMED,
    ),
    Explanation(
        code="RenamedTwice",
        summary="two deployments were renamed from one",
        meaning="Two documents have the same `renamed_from`. The history moves to the first one; the other one is not "
        "applied.",
        remedy="Remove `renamed_from` from the deployment that is new.",
        wrong=_RENAMED + "---\nname: monthly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n",
        right=_RENAMED + "---\nname: monthly-sales\nflow: flows/etl.py:main\n",
    ),
)

WHAT_RUNS = (
    Explanation(
        code="OutsideRepository",
        summary="a path outside of the repository",
        meaning="The path is absolute, or it leads out of the repository.",
        remedy="Use a path inside the repository: `flow` is relative to the repository root, `flow_location` to the "
        "file that contains it.",
        wrong="name: nightly\nflow: ../etl.py:main\n",
        right="name: nightly\nflow: etl.py:main\n",
    ),
    Explanation(
        code="InvalidFlow",
        summary="an invalid path or name of a flow",
        meaning="The path or the name of the flow contains a backslash or a control character, or begins or ends with "
        "a space.",
        remedy="Write the path with `/`, a colon, and the name of the flow.",
        wrong="name: nightly\nflow: 'flows\\etl.py:main'\n",
        right="name: nightly\nflow: 'flows/etl.py:main'\n",
    ),
    Explanation(
        code="ShellCommand",
        summary="a command that requires a shell",
        severity=Severity.WARNING,
        meaning="A warning: a command is a list of a program and its arguments and runs without a shell. In this one, "
        "the program contains spaces or shell characters, or an operator such as `|` or `>` would be passed to the "
        "program as an argument.",
        remedy='Write each word as a separate item, or run the line in a shell: `[sh, -c, "a | b"]`.',
        wrong="name: backup\ncommand: [pg_dump x | gzip > y]\n",
        right='name: backup\ncommand: [sh, -c, "pg_dump x | gzip > y"]\n',
    ),
    Explanation(
        code="CommandFileMissing",
        summary="a program or script missing from the repository",
        severity=Severity.WARNING,
        meaning="A warning: the program of the command, or the script passed to an interpreter, is a relative path "
        "that does not exist in the repository at this revision. Or it is the name of a file in the repository without "
        "its folder, which is searched on `PATH` instead. If the command starts with `env`, `nohup`, `timeout` or the "
        "like, the program after it is checked.",
        remedy="Commit the file, or correct the path: it is relative to `working_directory`, by default the repository "
        "root.",
        wrong="name: backup\ncommand: [python, scripts/backup.py]\n",
        right="name: backup\ncommand: [python, -m, backup]\n",
    ),
    Explanation(
        code="CommandFileInvalid",
        summary="a program or script that cannot be started",
        severity=Severity.WARNING,
        meaning="A warning: the program or script of the command is in the repository but cannot be started: its `#!` "
        "line ends with CRLF, it has an unresolved merge conflict, or it is encrypted, a Git LFS pointer or not text.",
        remedy="Follow the hint, and commit the file.",
    ),
    Explanation(
        code="InvalidVariable",
        summary="an invalid name of an environment variable",
        meaning="The name is not a valid name of an environment variable.",
        remedy="Use letters, digits and underscores; the first character must not be a digit.",
        wrong=NIGHTLY + "env: {LOG-LEVEL: INFO}\n",
        right=NIGHTLY + "env: {LOG_LEVEL: INFO}\n",
    ),
    Explanation(
        code="ForbiddenEnvironment",
        summary="a variable that a repository cannot set",
        meaning="The variable decides which code runs (`PATH`, `PYTHONPATH`, `PYTHONHOME`, `LD_…`, `GIT_…`), or it is "
        "reserved for the controller (`CONTROLLER_…`). A repository is not allowed to set it.",
        remedy="Remove it, or use another name. Write the folders of `PYTHONPATH` under `import_paths`.",
        wrong=NIGHTLY + "env: {PYTHONPATH: lib}\n",
        right=NIGHTLY + "import_paths: [flows]\n",
    ),
    Explanation(
        code="PlainSecret",
        summary="a value that looks like a secret in plain text",
        severity=Severity.WARNING,
        meaning="A warning: the value looks like a password, a key or a token. Everyone who has access to the "
        "repository or its history can read it.",
        remedy="Rotate the secret, and declare only the source of its value under `secrets`.",
        wrong=NIGHTLY + "env: {DB_PASSWORD: correct-horse-battery}\n",
        right=NIGHTLY + "env: {DB_PASSWORD_FILE: /run/secrets/sales}\n",
    ),
)
