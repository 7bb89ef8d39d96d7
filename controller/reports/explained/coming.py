"""Codes whose checks are coming. When a check arrives, its code moves to its part, and to docs/findings.md.

The examples name the flow that they are about in a comment: this is what `flows/etl.py` has.
"""

from controller.model.findings import Severity
from controller.reports.explained.entry import NIGHTLY, Explanation

_MAIN = "# def main(region: str, days: list[int], *, dry: bool = False)\n"

_PARAMETERS = (
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
        wrong="# def main(region: str, /)\n" + NIGHTLY + "parameters: {region: eu}\n",
        right="# def main(region: str)\n" + NIGHTLY + "parameters: {region: eu}\n",
    ),
)

_FLOWS = (
    Explanation(
        code="FlowNotFound",
        summary="the file has no such flow",
        meaning="The file has no flow or function of this name at this revision. The hint names the nearest one.",
        remedy="Correct the name after the colon, or commit the flow.",
        wrong=_MAIN + "name: nightly\nflow: flows/etl.py:mian\n",
        right=_MAIN + "name: nightly\nflow: flows/etl.py:main\n",
    ),
    Explanation(
        code="AmbiguousFlow",
        summary="more than one flow could be meant",
        meaning="No flow is named and the file has more than one, or the name stands for two of them.",
        remedy="Name the flow, by the name of its function.",
        wrong="# def load() … and def report() …\nname: nightly\nflow_location: ../flows/etl.py\n",
        right="# def load() … and def report() …\nname: nightly\nflow_location: ../flows/etl.py\nflow_name: load\n",
    ),
    Explanation(
        code="FlowFileInvalid",
        summary="the file of the flow is not Python",
        meaning="The file of the flow can't be read as Python: it has a syntax error, is too large, or is not UTF-8. "
        "Nothing in it was run.",
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
)

_OTHERS = (
    Explanation(
        code="PlainSecret",
        summary="what looks like a secret in plain text",
        severity=Severity.WARNING,
        meaning="A warning: the value looks like a password, a key or a token. Everybody who can read the repository "
        "and its history can read it.",
        remedy="Change the secret where it is used, and name only where its value comes from, under `secrets`.",
        wrong=NIGHTLY + "env: {DB_PASSWORD: correct-horse-battery}\n",
        right=NIGHTLY + "secrets: {DB_PASSWORD: {env: SALES_DB_PASSWORD}}\n",
    ),
    Explanation(
        code="RenamedFromUnknown",
        summary="`renamed_from` points at nothing",
        meaning="No deployment has, or ever had, the name that `renamed_from` says: there is no history to move.",
        remedy="Correct the name, or remove `renamed_from`.",
        wrong="name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly-sails\n",
        right="name: nightly-sales\nflow: flows/etl.py:main\nrenamed_from: nightly\n",
    ),
)

COMING: tuple[Explanation, ...] = (*_PARAMETERS, *_FLOWS, *_OTHERS)
