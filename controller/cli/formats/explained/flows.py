"""What is wrong with the flow that a deployment names, and with its parameters. docs/findings.md says the same.

The examples name what `flows/etl.py` has in a comment.
"""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation

_MAIN = "# def main(region: str, days: list[int], *, dry: bool = False): ...\n"
_TWO = "# def load(): ...\n# def report(): ...\n"

PARAMETERS = (
    Explanation(
        code="UnknownParameter",
        summary="a parameter that the flow does not take",
        meaning="The flow takes no parameter of this name. The hint names the nearest one.",
        remedy="Correct the name, remove the parameter, or add it to the flow.",
        wrong=_MAIN + NIGHTLY + "parameters: {regoin: eu, days: [1]}\n",
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="MissingParameter",
        summary="a parameter without a value",
        meaning="The flow needs this parameter: it has no default, and the deployment gives no value.",
        remedy="Give it under `parameters`, or in every schedule, or give it a default in the flow.",
        wrong=_MAIN + NIGHTLY + "parameters: {region: eu}\n",
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="WrongParameterType",
        summary="a parameter of another type than the flow asks for",
        meaning="The value does not fit the type hint of the parameter, nor can it be turned into it without guessing: "
        "`1` fits `float`, the text `[1, 2]` does not fit `list[int]`.",
        remedy="Write the value as the hint of the finding says: a list as a YAML list, a number without quotes.",
        wrong=_MAIN + NIGHTLY + 'parameters: {region: eu, days: "[1, 2]"}\n',
        right=_MAIN + NIGHTLY + "parameters: {region: eu, days: [1, 2]}\n",
    ),
    Explanation(
        code="PositionalOnlyParameter",
        summary="a parameter that can't be passed by name",
        meaning="The parameter stands before the `/` in the signature of the flow. Parameters are passed by name, so "
        "it can never get a value.",
        remedy="Remove the `/` from the signature, or give the parameter a default and leave it out here.",
        wrong="# def main(region: str, /): ...\n" + NIGHTLY + "parameters: {region: eu}\n",
        right="# def main(region: str): ...\n" + NIGHTLY + "parameters: {region: eu}\n",
    ),
)

FLOWS = (
    Explanation(
        code="FlowNotFound",
        summary="the file has no such flow",
        meaning="The file has no flow or function of this name at this revision. The hint names the nearest one.",
        remedy="Correct the name after the colon, or commit the flow.",
        wrong=_MAIN + "name: nightly\nflow: flows/etl.py:mian\n",
        right=_MAIN + "name: nightly\nflow: flows/etl.py:main\nparameters: {region: eu, days: [1]}\n",
    ),
    Explanation(
        code="AmbiguousFlow",
        summary="more than one flow could be meant",
        meaning="No flow is named and the file has more than one, or the name stands for two of them.",
        remedy="Name the flow, by the name of its function.",
        wrong=_TWO + "name: nightly\nflow_location: ../flows/etl.py\n",
        right=_TWO + "name: nightly\nflow_location: ../flows/etl.py\nflow_name: load\n",
    ),
    Explanation(
        code="FlowFileInvalid",
        summary="the file of the flow is not Python, or can't be imported",
        meaning="The file of the flow can't be read as Python: it has a syntax error, is not UTF-8, is nested too "
        "deeply, or the controller may not read it. Or it can't be imported because a `@flow` or `@task` in it has an "
        "option that is none, or of a wrong type or value. Nothing in it was run.",
        remedy="Correct it at the line that the message names.",
    ),
    Explanation(
        code="FlowFileMissing",
        summary="the file of the flow does not exist",
        meaning="There is no such file at this revision. A file that is not committed does not exist for the "
        "controller.",
        remedy="Correct the path, or commit the file. `flow` counts from the repository root, `flow_location` from the "
        "file that says it.",
        wrong="name: nightly\nflow: flow/etl.py:main\n",
        right="name: nightly\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="WorkingDirectoryMissing",
        summary="the working directory does not exist",
        meaning="There is no such directory at this revision. git keeps no empty directories: one without a committed "
        "file does not exist for the controller.",
        remedy="Correct the path, which counts from the repository root, or commit a file in the directory.",
        wrong="name: nightly\nflow: flows/etl.py:main\nworking_directory: flow\n",
        right="name: nightly\nflow: flows/etl.py:main\nworking_directory: flows\n",
    ),
)
