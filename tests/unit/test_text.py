"""Text from users is printable and short in messages, and a misspelled name gets suggestions."""

import pytest

from controller.text import closest, did_you_mean, shorten, visible, visible_lines


def test_unprintable_characters_are_escaped() -> None:
    assert visible("a\x1b[31mb\u202e\ud800\n") == "a\\x1b[31mb\\u202e\\ud800\\n"
    assert visible("a\tb\n", keep="\t") == "a\tb\\n"
    assert visible_lines("a\nb\x07") == "a\nb\\x07"


@pytest.mark.parametrize(("text", "short"), [("a" * 40, "a" * 40), ("a" * 41, "a" * 39 + "…"), ("a\nb", "a\ufffdb")])
def test_a_long_text_is_cut_to_forty_characters(text: str, short: str) -> None:
    assert shorten(text) == short


def test_the_most_similar_names_are_suggested_first() -> None:
    assert closest("wekly", ["daily", "weekly", "weekly-2"], 3) == ["weekly", "weekly-2"]
    assert did_you_mean("wekly", ["daily", "weekly", "weekly-2"], 3) == "did you mean weekly or weekly-2?"


@pytest.mark.parametrize("word", ["flow-name", "Flow_Name", "flow_nmae"])
def test_case_and_hyphens_make_no_difference(word: str) -> None:
    assert did_you_mean(word, ["name", "flow_name"]) == "did you mean flow_name?"


@pytest.mark.parametrize("word", ["zzz", "f" * 1000, ""])
def test_a_word_that_resembles_no_name_gets_no_suggestion(word: str) -> None:
    assert did_you_mean(word, ["flow", "name"]) is None
