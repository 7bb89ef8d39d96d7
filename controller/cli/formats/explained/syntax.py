"""What YAML allows and a manifest does not. See `entry` for the form; docs/findings.md says the same."""

from controller.cli.formats.explained.entry import NIGHTLY, Explanation

SYNTAX = (
    Explanation(
        code="DuplicateKey",
        summary="the same key twice in one mapping",
        meaning="A mapping has the same key twice.",
        remedy="Remove one.",
        wrong=NIGHTLY + "tags: [etl]\ntags: [prod]\n",
        right=NIGHTLY + "tags: [etl, prod]\n",
    ),
    Explanation(
        code="KeyNotString",
        summary="a key is not text",
        meaning="A key is a number, a boolean or empty.",
        remedy="Write it in quotes.",
        wrong=NIGHTLY + "parameters: {2026: yes}\n",
        right=NIGHTLY + 'parameters: {"2026": yes}\n',
    ),
    Explanation(
        code="TagNotAllowed",
        summary="YAML tags are refused",
        meaning="YAML tags (`!!python/object`, `!Ref`, `!!str`) are refused, and so are more than 16 `%TAG` lines.",
        remedy="Write the plain value.",
        wrong=NIGHTLY + "version: !!str 1.4\n",
        right=NIGHTLY + 'version: "1.4"\n',
    ),
    Explanation(
        code="UnknownAlias",
        summary="an alias without its anchor",
        meaning="`*name` points at no `&name` before it.",
        remedy="If it is meant as text, write it in quotes.",
        wrong=NIGHTLY + "tags: *common\n",
        right=NIGHTLY + 'tags: ["*common"]\n',
    ),
    Explanation(
        code="RecursiveAlias",
        summary="an alias stands inside what it points at",
        meaning="An alias stands inside what it points at.",
        remedy="Remove the alias, or write out what it should stand for.",
        wrong=NIGHTLY + "parameters: &all {self: *all}\n",
        right=NIGHTLY + "parameters: {self: {}}\n",
    ),
    Explanation(
        code="BrokenAlias",
        summary="an alias stands for something that is wrong",
        meaning="An alias stands for something that has an error of its own.",
        remedy="Correct that one.",
        wrong=NIGHTLY + "parameters: {a: &bad {b: 1, b: 2}, c: *bad}\n",
        right=NIGHTLY + "parameters: {a: &good {b: 1}, c: *good}\n",
    ),
    Explanation(
        code="InvalidMerge",
        summary="a merge key without a mapping",
        meaning="`<<` takes a mapping, or a list of mappings.",
        remedy="Point it at a mapping, or remove it.",
        wrong=NIGHTLY + "parameters: {<<: 5}\n",
        right=NIGHTLY + "parameters: {<<: {days: 1}, region: eu}\n",
    ),
    Explanation(
        code="IntegerTooLarge",
        summary="a whole number that not every reader keeps",
        meaning="A whole number lies beyond ±2^53. Other readers of JSON would change it silently.",
        remedy="Write it in quotes.",
        wrong=NIGHTLY + "parameters: {account: 90071992547409931}\n",
        right=NIGHTLY + 'parameters: {account: "90071992547409931"}\n',
    ),
    Explanation(
        code="NotFinite",
        summary="an infinite number, or none at all",
        meaning="`.inf`, `.nan` or a number too large for a float.",
        remedy="Write it in quotes if it is text.",
        wrong=NIGHTLY + "parameters: {limit: .inf}\n",
        right=NIGHTLY + 'parameters: {limit: ".inf"}\n',
    ),
)
