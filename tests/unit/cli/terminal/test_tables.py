"""Tables and details: aligned and fitted on a terminal; in a pipe complete, without padding, and easy to split."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from controller.cli.terminal import console as consoles
from controller.cli.terminal import text_format
from controller.cli.terminal.artifact_view import artifact_list
from controller.cli.terminal.tables import CompactTable, Details
from controller.model.artifacts import Artifact

LONG = "x" * 500
TABLE = CompactTable(("NAME", "REASON"), [(Text("a"), text_format.plain(f"one\ttwo\n{LONG}"))], flexible=(1,))


def printed(renderable: object, *, is_terminal: bool, width: int = 40) -> str:
    """Return what a console of this width prints, without styles."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=is_terminal,
        color_system=None,
        soft_wrap=not is_terminal,
        highlight=False,
    )
    console.print(renderable)
    return stream.getvalue()


def test_a_table_in_a_pipe_is_complete_tsv() -> None:
    assert printed(TABLE, is_terminal=False) == f"NAME\tREASON\na\tone\\ttwo\\n{LONG}\n"


def test_a_table_fits_a_terminal() -> None:
    header, row = printed(TABLE, is_terminal=True).splitlines()
    assert header.split() == ["NAME", "REASON"]
    assert len(row) <= 40
    assert "…" in row


def test_details_in_a_pipe_have_one_line_per_value() -> None:
    details = Details([("name", Text("a")), ("description", Text(LONG)), ("", Text("more")), ("empty", Text())])
    assert printed(details, is_terminal=False) == f"name         a\ndescription  {LONG}\n             more\nempty\n"
    assert max(map(len, printed(details, is_terminal=True).splitlines())) <= 40


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_table_of_an_artifact_is_never_shortened(is_terminal: bool) -> None:
    table = Artifact(kind="table", key=None, data={"columns": ["k\t1"], "rows": [[LONG, None], ["[b]"]]})
    lines = printed(artifact_list([table]), is_terminal=is_terminal).splitlines()
    assert "".join(lines).count("x") == 500
    assert "k\\t1" in lines[2]
    assert lines[-1].strip() == "[b]"


def test_a_pipe_is_no_terminal_for_force_color(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    consoles.show(CompactTable(("STATE",), [(text_format.state("failed"),)], flexible=()))
    assert capsys.readouterr().out == "STATE\nfailed\n"


def test_the_remark_about_an_empty_table_is_not_data(capsys: pytest.CaptureFixture[str]) -> None:
    empty = CompactTable(("NAME", "STATE"), [], flexible=(), empty="Nothing yet.")
    consoles.show(empty)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("NAME\tSTATE\n", "Nothing yet.\n")
    assert printed(empty, is_terminal=True).strip() == "Nothing yet."
