"""The prose linter finds phrases in docstrings, comments, messages and pages, and ignores code."""

from pathlib import Path

import pytest

from tests.prose.extract import extract, words
from tests.prose.messages import faults
from tests.prose.terms import matches, read_terms

TERMS = read_terms()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", '"""The version in force."""\n'),
        ("a.py", "x = 1  # the version in force\n"),
        ("a.py", 'raise ValueError("this version is in force")\n'),
        ("a.md", "The version that is\nin force.\n"),
        ("a.md", "| a | the version in force |\n"),
        ("a.html", "<p>The version in force</p>\n"),
        ("a.json", '{"description": "The version in force"}\n'),
        ("a.yaml", "name: a  # the version in force\n"),
    ],
)
def test_a_phrase_is_found_in_prose(name: str, text: str) -> None:
    [piece] = [piece for piece in extract(Path(name), text) if "version" in piece.text.lower()]
    [(term, phrase)] = matches(TERMS, piece.text)
    assert (phrase, term.say) == ("in force", "active, applied")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "in_force = 'force'\n"),
        ("a.md", "Run `in force`.\n\n```\nin force\n```\n"),
        ("a.html", "<p class='in force'>{{ in force }}</p>\n"),
    ],
)
def test_code_is_not_prose(name: str, text: str) -> None:
    assert [phrase for piece in extract(Path(name), text) for _, phrase in matches(TERMS, piece.text)] == []


def test_words_are_counted_without_code() -> None:
    assert words(extract(Path("a.md"), "Three plain words, `and code`.\n")) == 3


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ('"There is no run."', None),
        ('"not a valid name"', None),
        ('f"There is no run {name!r}."', None),
        ('f"git could not read {path}: it is damaged."', None),
        ('"There is no run"', "a sentence ends with a full stop"),
        ('"no such run."', "a fragment has no full stop, a sentence begins with a capital"),
        ('f"There is no run: The name {name!r} is unknown."', "lower case after a colon"),
        ("f\"There is no run '{name}'.\"", "quote input with !r or `quote`"),
        ("f'There is no run \"{name}\".'", "quote input with !r or `quote`"),
    ],
)
def test_a_message_is_a_sentence_or_a_fragment_and_quotes_input_in_one_way(message: str, rule: str | None) -> None:
    for code in (f"raise UsageError({message})", f"find(message={message})"):
        assert [found for _, found in faults(code)] == ([] if rule is None else [rule])
