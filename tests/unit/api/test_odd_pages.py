"""Pages that were asked for what is not there, or not any more, or can't be meant: they say what is so."""

from tests.unit.api.conftest import Served


def page_of(served: Served, path: str, status: int = 200) -> str:
    answer = served.get(path, Accept="text/html")
    assert answer.status == status, answer
    return answer.text


def test_a_deployment_that_left_says_when_and_with_which_commit_and_how_it_comes_back(fresh: Served) -> None:
    text = "# as it was written\nname: left\ncommand: [echo, hello]\n"
    fresh.commit({"deployments/left.yaml": text})
    run = fresh.run("left")
    (fresh.repository.path / "deployments/left.yaml").unlink()
    commit = fresh.commit({"note.txt": "gone"})
    page = page_of(fresh, "/deployments/left", 404)
    assert commit[:9] in page
    assert "controller restore left" in page
    assert text in page
    assert f'href="/runs/{run["id"]}"' in page
    assert fresh.get("/api/v1/deployments/left").status == 404
    fresh.commit({"deployments/left.yaml": text})
    assert "controller restore" not in page_of(fresh, "/deployments/left")


def test_a_name_that_is_not_known_is_answered_with_the_nearest_one(fresh: Served) -> None:
    assert "Did you mean speak?" in page_of(fresh, "/deployments/speek", 404)
