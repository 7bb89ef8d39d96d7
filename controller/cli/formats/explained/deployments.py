"""What is wrong with the shape of a deployment, and with what it runs. docs/findings.md says the same."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation
from controller.model.findings import Severity

_RENAMED = "name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n"

SHAPE = (
    Explanation(
        code="NotAMapping",
        summary="a document is no deployment",
        meaning="A document is a list item or a value where a deployment should be.",
        remedy="Write the keys of the deployment: `name`, what runs, and when.",
        wrong="- nightly\n",
        right="- name: nightly\n  flow: flows/etl.py:main\n",
    ),
    Explanation(
        code="UnknownKey",
        summary="a key that the format does not have",
        meaning="The format has no such key here. The hint names the nearest one.",
        remedy="Correct the key, or remove it.",
        wrong=NIGHTLY + "schedul: {interval: 1h}\n",
        right=NIGHTLY + "schedule: {interval: 1h}\n",
    ),
    Explanation(
        code="MissingKey",
        summary="a required key is missing",
        meaning="A required key is missing: `name`, or one of `flow`, `flow_location` and `command`, or one of `cron`, "
        "`interval`, `rrule` and `at`.",
        remedy="Add it.",
        wrong="name: nightly\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="ConflictingKeys",
        summary="two keys that do not go together",
        meaning="Two keys don't go together, or one needs another that is not there.",
        remedy="Keep the one that you mean, or add the other.",
        wrong=NIGHTLY + "command: [python, etl.py]\n",
        right="name: nightly\ncommand: [python, etl.py]\n",
    ),
    Explanation(
        code="WrongType",
        summary="a value of the wrong type",
        meaning="The value is of another type than the key takes.",
        remedy="Most often a number or a boolean that should be text: write it in quotes.",
        wrong=NIGHTLY + "version: 1.4\n",
        right=NIGHTLY + 'version: "1.4"\n',
    ),
    Explanation(
        code="InvalidValue",
        summary="a value of the wrong form",
        meaning="The value has the right type, but not the right form.",
        remedy="The message or its hint says which form the key takes.",
        wrong="name: Nightly Sales\nflow: flows/etl.py:main\n",
        right="name: nightly-sales\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="InvalidSize",
        summary="a size that is none",
        meaning="The amount of memory can't be understood, or is not between 1 MiB and 64 TiB.",
        remedy="Write bytes as a number, or like `512MiB`, `1GiB`, `2GB`.",
        wrong=NIGHTLY + "resources: {memory: 1 gig}\n",
        right=NIGHTLY,
    ),
    Explanation(
        code="ControlCharacter",
        summary="a character that doesn't print, or reorders text",
        meaning="A tag, the version, an argument or a variable holds a control character, or one that reorders text on "
        "a screen.",
        remedy="Remove it.",
        wrong=NIGHTLY + 'tags: ["etl\\u202e"]\n',
        right=NIGHTLY + 'tags: ["etl"]\n',
    ),
    Explanation(
        code="DuplicateName",
        summary="two deployments have the same name",
        meaning="Two documents have the same name. Both places are named, and neither is applied.",
        remedy="Rename one.",
        wrong=NIGHTLY + "---\nname: nightly\nflow: flows/report.py:main\n",
        right=NIGHTLY + "---\nname: nightly-report\nflow: flows/report.py:main\n",
    ),
    Explanation(
        code="RenamedFromDeclared",
        summary="`renamed_from` names what is still there",
        meaning="`renamed_from` names a deployment that is still declared, so it was not renamed.",
        remedy="Remove `renamed_from`, or the document that still has the old name.",
        wrong=_RENAMED + "---\nname: nightly\nflow: flows/etl.py:main\n",
        right=_RENAMED,
    ),
    Explanation(
        code="RenamedTwice",
        summary="two deployments were renamed from one",
        meaning="Two documents say in `renamed_from` that they had the same name. Its history moves to the first; the "
        "other is not applied.",
        remedy="Remove `renamed_from` from the one that is new.",
        wrong=_RENAMED + "---\nname: monthly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n",
        right=_RENAMED + "---\nname: monthly-sales\nflow: flows/etl.py:main\n",
    ),
)

WHAT_RUNS = (
    Explanation(
        code="OutsideRepository",
        summary="a path that leads out of the repository",
        meaning="The path is absolute or leads out of the repository.",
        remedy="`flow` counts from the repository root, `flow_location` from the file that says it.",
        wrong="name: nightly\nflow: ../etl.py:main\n",
        right="name: nightly\nflow: etl.py:main\n",
    ),
    Explanation(
        code="InvalidFlow",
        summary="no usable path or name of a flow",
        meaning="The path or the name of the flow has a backslash, a control character, or spaces around it.",
        remedy="Write the path with `/`, a colon, and the name of the flow.",
        wrong="name: nightly\nflow: 'flows\\etl.py:main'\n",
        right="name: nightly\nflow: 'flows/etl.py:main'\n",
    ),
    Explanation(
        code="ShellCommand",
        summary="a command that would need a shell",
        severity=Severity.WARNING,
        meaning="A warning: the command is a list of a program and its arguments, and starts without a "
        "shell. This one has blanks or characters for a shell in its program, or hands an "
        "operator such as `|` or `>` to the program as an argument.",
        remedy='Write each word as an item of its own, or let a shell run the line: `[sh, -c, "a | b"]`.',
        wrong="name: backup\ncommand: [pg_dump x | gzip > y]\n",
        right='name: backup\ncommand: [sh, -c, "pg_dump x | gzip > y"]\n',
    ),
    Explanation(
        code="CommandFileMissing",
        summary="a program or script that is not in the repository",
        severity=Severity.WARNING,
        meaning="A warning: the program of the command, or the script that an interpreter gets, is a "
        "relative path, and the repository has no such file at this revision. Or it is the name "
        "of a file of the repository without its folder, and is looked up on `PATH`.",
        remedy="Commit the file, or correct the path: it counts from `working_directory`, by default "
        "the repository root.",
        wrong="name: backup\ncommand: [python, scripts/backup.py]\n",
        right="name: backup\ncommand: [python, -m, backup]\n",
    ),
    Explanation(
        code="CommandFileInvalid",
        summary="a program or script that can't be started",
        severity=Severity.WARNING,
        meaning="A warning: the program or script of the command is in the repository, and can't be "
        "started as it is there: its line `#!` ends with CRLF, it has an unresolved merge "
        "conflict, or it is encrypted, a Git LFS pointer or not text.",
        remedy="Do what the hint says, and commit the file.",
    ),
    Explanation(
        code="InvalidVariable",
        summary="no usable name of an environment variable",
        meaning="This can't be the name of an environment variable.",
        remedy="Use letters, digits and underscores, and no digit first.",
        wrong=NIGHTLY + "env: {LOG-LEVEL: INFO}\n",
        right=NIGHTLY + "env: {LOG_LEVEL: INFO}\n",
    ),
    Explanation(
        code="ForbiddenEnvironment",
        summary="a variable that a repository may not set",
        meaning="The variable decides which code runs: `PATH`, `PYTHONPATH`, `PYTHONHOME`, `LD_…`, `GIT_…`, "
        "`CONTROLLER_…`. It is not taken from the repository.",
        remedy="Remove it, or use another name.",
        wrong=NIGHTLY + "env: {PYTHONPATH: lib}\n",
        right=NIGHTLY + "env: {ETL_LIBRARY: lib}\n",
    ),
    Explanation(
        code="PlainSecret",
        summary="what looks like a secret in plain text",
        severity=Severity.WARNING,
        meaning="A warning: the value looks like a password, a key or a token. Everybody who can read the repository "
        "and its history can read it.",
        remedy="Change the secret where it is used, and name only where its value comes from, under `secrets`.",
        wrong=NIGHTLY + "env: {DB_PASSWORD: correct-horse-battery}\n",
        right=NIGHTLY + "env: {DB_PASSWORD_FILE: /run/secrets/sales}\n",
    ),
)
