"""Lists: filters, order and formats."""

import json
import signal

import yaml

from tests.unit.cli.conftest import OWN_CONTROLLER, Followed, OnTerminal, StartCommand


@OWN_CONTROLLER
def test_deployments_are_filtered_sorted_and_limited(followed: Followed) -> None:
    def names(*options: str) -> list[str]:
        return followed("deployments", "list", *options, "-o", "name").out.splitlines()

    followed("trigger", "fails", "--wait")
    assert names() == ["never-good", "fails", "asleep", "sums"]
    assert names("--sort", "name") == ["asleep", "fails", "never-good", "sums"]
    assert names("--sort", "next")[0] == "sums"
    assert names("--sort", "last-run")[0] == "fails"
    assert names("--sort", "name", "--limit", "2") == ["asleep", "fails"]
    assert names("--tag", "math") == ["sums"]
    assert names("--health", "degraded") == ["fails"]
    assert names("--sync", "Invalid") == ["never-good"]
    assert names("--search", "SUMS.py") == ["sums"]
    place = followed("deployments", "show", "sums", "-o", "json").json
    assert "sums" in names("--document", f"./{place['file']}:{place['line']}")
    assert names("--document", "deployments/none.yaml") == []
    assert names("--tag", "math", "--health", "Degraded") == []
    unmatched = followed("deployments", "--search", "nothing")
    assert unmatched.err == "No deployments match. `controller deployments list` lists all.\n"
    unknown = followed("deployments", "--tag", "maths")
    assert (unknown.code, "Did you mean math?" in unknown.err) == (2, True)


@OWN_CONTROLLER
def test_a_name_instead_of_a_command_and_the_cause_of_a_failure_on_a_terminal(
    followed: Followed, on_terminal: OnTerminal
) -> None:
    followed("trigger", "fails", "--wait")
    mistaken = followed("deployments", "fails")
    assert (mistaken.code, "To show one: controller deployments show fails" in mistaken.err) == (2, True)
    status = on_terminal(["status", *followed.place], {"TERM": "xterm", "COLUMNS": "60"})
    _, causes = status.split("Failing (1)")
    assert "fails" in causes.splitlines()[1]
    assert followed("status").out.count("Failing") == 0


@OWN_CONTROLLER
def test_events_are_filtered_and_resumed(followed: Followed) -> None:
    run = followed("trigger", "fails", "--wait", "-o", "json").json["run_id"]

    def ids(*options: str) -> list[int]:
        return [event["id"] for event in followed("events", *options, "-o", "json").json]

    recorded = followed("events", "-o", "json").json
    of_run = [event["id"] for event in recorded if event["run_id"] == run]
    assert len(of_run) == 2
    assert ids("--run", run[-12:]) == ids("--for", run) == of_run
    assert ids("--for", "fails", "--severity", "error") == ids("--reason", "RunFailed") == of_run[1:]
    assert ids("--tag", "math") == [event["id"] for event in recorded if "math" in event["tags"]] != []
    assert ids("--after-id", "1", "--limit", "2") == [2, 3]
    assert followed("events", "--reason", "Nothing").err == "No events match.\n"
    assert followed("events", "--run", "fffff").code == followed("events", "--for", "fffff").code == 2


@OWN_CONTROLLER
def test_all_formats_have_the_same_rows(followed: Followed) -> None:
    followed("trigger", "sums", "--wait")
    followed("backfill", "sums", "--from", "2026-06-02", "--to", "2026-06-03", "--wait")
    for kind, key, title, count in (
        (("deployments",), "name", "DEPLOYMENT", 4),
        (("runs",), "id", "RUN", 2),
        (("backfills",), "id", "ID", 1),
        (("occurrences", "sums"), "run_id", "RUN", 1),
        (("events", "--for", "sums"), "about", "ABOUT", 4),
        (("python",), "id", "DIGEST", 0),
        (("notify", "log"), "id", "ID", 0),
        (("notify", "channels"), "name", "NAME", 0),
    ):
        rows = followed(*kind, "-o", "json").json
        assert len(rows) == count
        assert [json.loads(line) for line in followed(*kind, "-o", "jsonl").out.splitlines()] == rows
        assert yaml.safe_load(followed(*kind, "-o", "yaml").out) == rows
        names = [row[key] for row in rows]
        assert followed(*kind, "-o", "name").out.splitlines() == names
        header, *lines = (line.split("\t") for line in followed(*kind).out.splitlines())
        wide_header, *wide = (line.split("\t") for line in followed(*kind, "-o", "wide").out.splitlines())
        assert [line[header.index(title)] for line in lines] == names
        assert [cell for cell in wide_header if cell in header] == header
        assert len(wide_header) > len(header)
        assert {len(line) for line in wide} == {len(wide_header)} if rows else not wide


@OWN_CONTROLLER
def test_an_empty_list_says_what_to_do_next(followed: Followed) -> None:
    for arguments, hint in (
        (("runs", "--tag", "math"), "`controller runs list` without filters"),
        (("occurrences", "sums"), "`controller deployments show sums`"),
        (("occurrences", "sums", "--since", "1h"), "`controller occurrences sums`"),
        (("backfills",), "`controller backfill NAME --from TIME`"),
        (("next", "fails"), "`controller trigger fails`"),
    ):
        answer = followed(*arguments)
        assert (answer.code, hint in answer.err) == (0, True), answer.err
        assert len(answer.out.splitlines()) <= 1
    assert followed("runs", "--revision", "0" * 12).code == 0
    branch = followed("runs", "--revision", "main")
    assert (branch.code, "hint: `git rev-parse main` prints" in branch.err) == (2, True)


def test_a_terminal_shows_the_end_of_an_id_and_wide_all_of_it(followed: Followed, on_terminal: OnTerminal) -> None:
    run = followed("trigger", "sums", "--wait", "-o", "json").json["run_id"]
    command = ["runs", "--deployment", "sums", *followed.place]
    narrow, wide = (on_terminal([*command, *more], {"TERM": "xterm"}) for more in ([], ["-o", "wide"]))
    assert run[-12:] in narrow
    assert run not in narrow
    assert run in wide
    assert "…" not in wide


def test_a_watched_list_prints_the_rows_that_change(followed: Followed, start_command: StartCommand) -> None:
    followed.deploy_sums("watched")
    for output in ("json", "text"):
        with start_command("runs", "-w", "--deployment", "watched", "-o", output, *followed.place) as watching:
            if output == "text":
                assert watching.out.readline().startswith("RUN\tDEPLOYMENT\tSTATE\t")
            run = followed("trigger", "watched", "--wait", "-o", "json").json["run_id"]
            line = ""
            while not (run in line and "succeeded" in line):
                line = watching.out.readline()
                assert not line.startswith("RUN")
                assert output == "text" or json.loads(line)["deployment"] == "watched"
            watching.process.send_signal(signal.SIGINT)
            assert (watching.process.wait(60), watching.err.read()) == (0, "")
