"""Artifacts and run names in plain Python are only logged."""

import logging

import pytest

from controller import flow, link, markdown, table


def test_without_a_controller_artifacts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    @flow(flow_run_name="of-{day}")
    def main(day: int = 1) -> int:
        markdown("# Title\nmore", key="report")
        table([[1, 2], (3,)])
        link("/runs")
        return day

    with caplog.at_level(logging.INFO, logger="controller.flow"):
        main()
        markdown("outside")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "markdown report: # Title\N{REPLACEMENT CHARACTER}more",
        "table: 2 rows",
        "link: /runs",
        "markdown: outside",
    ]
    assert main.with_options(name="x").flow_run_name == "of-{day}"


@pytest.mark.parametrize("url", ["https://a/b?c#d", "HTTP://a:80", "runs/1", "/runs/1?a=b:c", "#here", "?page=2"])
def test_http_and_relative_urls_are_valid_links(url: str) -> None:
    link(url)


@pytest.mark.parametrize("url", ["", "javascript:a()", "//evil", "/\\evil", "ftp://a", "a b", "http://", "a\x1b"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a link must be an http, https or relative URL"):
        link(url)


def test_the_rows_of_a_table_are_all_mappings_or_all_lists() -> None:
    with pytest.raises(TypeError, match="must be either all mappings or all lists"):
        table([{"a": 1}, [2]])
    with pytest.raises(TypeError, match="must be either all mappings or all lists"):
        table(["text"])
    table([])


@pytest.mark.parametrize(("template", "why"), [("{day.nope}", "filled in: AttributeError"), (" ", "an empty name")])
def test_a_template_without_a_valid_name_does_not_fail_the_flow(
    template: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    @flow(flow_run_name=template)
    def main(day: int) -> int:
        return day

    assert main(1) == 1
    assert why in caplog.text
