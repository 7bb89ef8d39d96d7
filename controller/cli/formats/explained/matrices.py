"""Explanations of findings about a matrix, which declares several deployments."""

from controller.cli.formats.explained.entry import Explanation
from controller.model.findings import Severity

_SALES = """\
name: sales-{region}
flow: flows/etl.py:main
parameters: {region: {from: matrix.region}}
"""
_ENTRIES = "  tier: [a, b]\n  exclude: [{region: us, tier: b}]\n"

MATRICES = (
    Explanation(
        code="InvalidMatrix",
        summary="a matrix that declares no combination, or an incomplete one",
        meaning="The matrix has no values, an item of its `include` lacks a key, or its `exclude` leaves nothing. Its "
        "deployments keep their last valid versions.",
        remedy="Give each key a list of values, and each item of `include` a value for every key. To leave the "
        "deployments out of an environment, write `enabled: false`.",
        wrong=_SALES + "matrix: {region: [eu, us], exclude: [{region: eu}, {region: us}]}\n",
        right=_SALES + "matrix: {region: [eu, us]}\n",
    ),
    Explanation(
        code="UnknownMatrixKey",
        summary="a key that the matrix does not have",
        meaning="A reference such as `{from: matrix.region}`, a placeholder in a name, or an item of `exclude` or "
        "`include` has a key that the matrix lacks. The hint suggests the most similar one.",
        remedy="Correct the key, or add it to the matrix with its values.",
        wrong="name: sales-{regoin}\nflow: flows/etl.py:main\nmatrix: {region: [eu, us]}\n",
        right=_SALES + "matrix: {region: [eu, us]}\n",
    ),
    Explanation(
        code="UnusedExclude",
        summary="an item of exclude that matches nothing",
        severity=Severity.WARNING,
        meaning="A warning: no combination has the values of this item of `exclude`, or an earlier item already leaves "
        'them out. `true` and `1`, or `1` and `"1"`, are different values.',
        remedy="Correct its values, or remove it.",
        wrong=_SALES + "matrix: {region: [eu, us], exclude: [{region: ap}]}\n",
        right=_SALES + "matrix: {region: [eu, us, ap], exclude: [{region: ap}]}\n",
    ),
    Explanation(
        code="PlaceholderNotReplaced",
        summary="a placeholder of the matrix where it is not replaced",
        severity=Severity.WARNING,
        meaning="A warning: a parameter, a variable under `env` or a word of `command` contains a key of the matrix in "
        "braces. Placeholders are only replaced in names, descriptions and tags, so the run gets the braces.",
        remedy="Write `{from: matrix.KEY}`. For a longer text, add a key with the text to the matrix.",
        wrong='name: sales-{region}\nflow: flows/etl.py:main\nparameters: {region: "{region}"}\n'
        "matrix: {region: [eu, us]}\n",
        right=_SALES + "matrix: {region: [eu, us]}\n",
    ),
    Explanation(
        code="MatrixTooLarge",
        summary="a matrix with too many combinations",
        meaning="A matrix can have up to 1,000 combinations, also counting those that `exclude` leaves out, and the "
        "matrices of one file up to 10,000. The expanded documents can have up to 1,000,000 values together.",
        remedy="Divide the values between several documents or files.",
    ),
)
