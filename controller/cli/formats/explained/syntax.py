"""Explanations of YAML syntax that manifests do not allow."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation

SYNTAX = (
    Explanation(
        code="DuplicateKey",
        summary="duplicate key in a mapping",
        meaning="A mapping contains the same key twice.",
        remedy="Remove one of them.",
        wrong=NIGHTLY + "tags: [etl]\ntags: [prod]\n",
        right=NIGHTLY + "tags: [etl, prod]\n",
    ),
    Explanation(
        code="KeyNotString",
        summary="a key is not a string",
        meaning="A key is a number, a boolean or empty instead of a string.",
        remedy="Write the key in quotes.",
        wrong=NIGHTLY + "parameters: {2026: yes}\n",
        right=NIGHTLY + 'parameters: {"2026": yes}\n',
    ),
    Explanation(
        code="TagNotAllowed",
        summary="YAML tags are not allowed",
        meaning="YAML tags such as `!!python/object`, `!Ref` or `!!str` are not allowed, nor are more than 16 `%TAG` "
        "lines.",
        remedy="Write the value without a tag.",
        wrong=NIGHTLY + "version: !!str 1.4\n",
        right=NIGHTLY + 'version: "1.4"\n',
    ),
    Explanation(
        code="UnknownAlias",
        summary="an alias without an anchor",
        meaning="The alias `*name` has no anchor `&name` before it.",
        remedy="Add the anchor, or write the value in quotes if it is a string.",
        wrong=NIGHTLY + "tags: *common\n",
        right=NIGHTLY + 'tags: ["*common"]\n',
    ),
    Explanation(
        code="RecursiveAlias",
        summary="an alias refers to a value that contains it",
        meaning="An alias refers to a mapping or list that contains the alias itself.",
        remedy="Remove the alias, or replace it with the intended value.",
        wrong=NIGHTLY + "parameters: &all {self: *all}\n",
        right=NIGHTLY + "parameters: {self: {}}\n",
    ),
    Explanation(
        code="BrokenAlias",
        summary="an alias refers to a value with an error",
        meaning="An alias refers to a value that has an error.",
        remedy="Fix the error in that value.",
        wrong=NIGHTLY + "parameters: {a: &bad {b: 1, b: 2}, c: *bad}\n",
        right=NIGHTLY + "parameters: {a: &good {b: 1}, c: *good}\n",
    ),
    Explanation(
        code="InvalidMerge",
        summary="a merge key without a mapping",
        meaning="The merge key `<<` requires a mapping or a list of mappings.",
        remedy="Give it an alias to a mapping, or remove it.",
        wrong=NIGHTLY + "parameters: {<<: 5}\n",
        right=NIGHTLY + "parameters: {<<: {days: 1}, region: eu}\n",
    ),
    Explanation(
        code="IntegerTooLarge",
        summary="an integer that is too large for JSON",
        meaning="An integer is beyond ±2^53. Other JSON parsers may silently change its value.",
        remedy="Write the number in quotes.",
        wrong=NIGHTLY + "parameters: {account: 90071992547409931}\n",
        right=NIGHTLY + 'parameters: {account: "90071992547409931"}\n',
    ),
    Explanation(
        code="NotFinite",
        summary="an infinite number or NaN",
        meaning="The value is `.inf`, `.nan` or a number that is too large for a float.",
        remedy="Write the value in quotes if it is a string.",
        wrong=NIGHTLY + "parameters: {limit: .inf}\n",
        right=NIGHTLY + 'parameters: {limit: ".inf"}\n',
    ),
)
