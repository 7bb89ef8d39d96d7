"""Explanations of errors in the flow of a deployment and in its parameters.

A comment at the top of each example shows the functions in `flows/etl.py`.
"""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation

_MAIN = "# def main(region: str, days: list[int], *, dry: bool = False): ...\n"
_TWO = "# def load(): ...\n# def report(): ...\n"

PARAMETERS = (
    Explanation(
        code="UnknownParameter",
        summary="a parameter that the flow does not have",
        meaning="The flow has no parameter of this name. The hint suggests the most similar one.",
        remedy="Correct the name, remove the parameter, or add it to the flow.",
        wrong=_MAIN + NIGHTLY + "parameters: {regoin: eu, days: [1]}\n",
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="MissingParameter",
        summary="a parameter without a value",
        meaning="The flow requires this parameter: it has no default, and the deployment does not set it.",
        remedy="Set it under `parameters` or in every schedule, or add a default to the flow.",
        wrong=_MAIN + NIGHTLY + "parameters: {region: eu}\n",
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="WrongParameterType",
        summary="a parameter value of the wrong type",
        meaning="The value does not match the type hint of the parameter and cannot be converted without guessing: `1` "
        "is accepted for `float`, but the string `[1, 2]` is not accepted for `list[int]`.",
        remedy="Write the value as the hint suggests: a list as a YAML list, a number without quotes.",
        wrong=_MAIN + NIGHTLY + 'parameters: {region: eu, days: "[1, 2]"}\n',
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1, 2]}\n",
    ),
    Explanation(
        code="InvalidReference",
        summary="an invalid reference to a value of the run or to a result",
        meaning="A value with `from: due_time` refers to the due time of the run. Its `shift`, `format` or `timezone` "
        "is not valid, or it has another key. A value with `from: run.id`, `from: revision` or `from: env.NAME` has "
        "another key than `from`. A value with `from: NAME.result` refers to the result of an upstream run, and "
        "`after` does not list the deployment NAME. As a warning: a mapping such as `{from: duetime}` or "
        "`{from: run.name}` looks like a reference, but is passed to the flow as it is.",
        remedy="Correct it as the hint suggests: a shift has a sign and a unit, and a format is `datetime`, `date`, "
        "`time`, `timestamp` or a strftime pattern. List the deployment of a result under `after`. If a mapping is "
        "meant literally, ignore the warning, or give the parameter of the flow a type hint that takes only mappings, "
        "such as `dict`.",
        wrong=_MAIN + NIGHTLY + "parameters: {region: {from: due_time, shift: 1 day}, days: [1]}\n",
        right=_MAIN + NIGHTLY + "parameters: {region: {from: due_time, shift: -1d, format: date}, days: [1]}\n",
    ),
    Explanation(
        code="InvalidRunName",
        summary="an invalid template for the names of runs",
        meaning="`run_name` has a placeholder that is neither `due_time` nor a key of the matrix nor a parameter that "
        "the deployment, one of its schedules or one of its triggers sets; or its braces do not match, or the format "
        "of `due_time` is not valid. Only `due_time` can have a format.",
        remedy="Write the name of a parameter, or set the parameter. Write `{{` and `}}` for braces that are not "
        "placeholders.",
        wrong=_MAIN + NIGHTLY + 'run_name: "load-{regoin}"\nparameters: {region: eu, days: [1]}\n',
        right=_MAIN + NIGHTLY + 'run_name: "load-{region}"\nparameters: {region: eu, days: [1]}\n',
    ),
    Explanation(
        code="PositionalOnlyParameter",
        summary="a parameter that cannot be passed by name",
        meaning="The parameter comes before the `/` in the signature of the flow. Parameters are passed by name, so "
        "this one can never be set.",
        remedy="Remove the `/` from the signature, or give the parameter a default and remove it from the deployment.",
        wrong="# def main(region: str, /): ...\n" + NIGHTLY + "parameters: {region: eu}\n",
        right="# def main(region: str): ...\n" + NIGHTLY + "parameters: {region: eu}\n",
    ),
)

FLOWS = (
    Explanation(
        code="FlowNotFound",
        summary="the file has no such flow",
        meaning="The file has no flow or function of this name at this revision. The hint suggests the most similar "
        "one.",
        remedy="Correct the name after the colon, or commit the flow.",
        wrong=_MAIN + "name: nightly\nflow: flows/etl.py:mian\n",
        right=_MAIN + "name: nightly\nflow: flows/etl.py:main\nparameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="AmbiguousFlow",
        summary="the flow is ambiguous",
        meaning="The deployment names no flow and the file has more than one, or two flows in the file have this name.",
        remedy="Name the flow by its function.",
        wrong=_TWO + "name: nightly\nflow_location: ../flows/etl.py\n",
        right=_TWO + "name: nightly\nflow_location: ../flows/etl.py\nflow_name: load\n",
    ),
    Explanation(
        code="FlowFileInvalid",
        summary="the flow file is not valid Python or fails to import",
        meaning="The file of the flow cannot be parsed: it has a syntax error, is not UTF-8, is nested too deeply, or "
        "the controller has no permission to read it. Or importing it would fail because a `@flow` or `@task` has an "
        "option that is unknown or has an invalid type or value. No code in the file was run.",
        remedy="Correct the file at the line in the message.",
    ),
    Explanation(
        code="FlowFileMissing",
        summary="the file of the flow does not exist",
        meaning="The file does not exist at this revision, or no import path has the module. The controller sees only "
        "committed files.",
        remedy="Correct the path, or commit the file. `flow` is relative to the repository root, `flow_location` to "
        "the file that contains it. A module is searched in the `import_paths` and at the root.",
        wrong="name: nightly\nflow: flow/etl.py:main\n",
        right="name: nightly\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="WorkingDirectoryMissing",
        summary="the working directory does not exist",
        meaning="The directory does not exist at this revision. git does not store empty directories, so a directory "
        "without a committed file does not exist for the controller.",
        remedy="Correct the path, which is relative to the repository root, or commit a file in the directory.",
        wrong="name: nightly\nflow: flows/etl.py:main\nworking_directory: flow\n",
        right="name: nightly\nflow: flows/etl.py:main\nworking_directory: flows\n",
    ),
)
