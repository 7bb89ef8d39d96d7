"""The search of the command palette."""

from typing import Any

from tests.unit.api.conftest import Served


def results(served: Served, text: str, **options: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"q": text, **options}.items())
    found: list[dict[str, Any]] = served.get(f"/api/v1/search?{query}").json()
    return found


def test_a_search_returns_deployments_tags_files_and_pages_with_their_paths(served: Served) -> None:
    [exact, *others] = results(served, "add")
    assert (exact["kind"], exact["name"], exact["path"]) == ("deployment", "add", "/deployments/add")
    assert exact["detail"] == "sums, tests"
    assert others == []
    [tag] = results(served, "sums")
    assert (tag["kind"], tag["detail"], tag["path"]) == ("tag", "1 deployment", "/deployments?tag=sums")
    [file] = results(served, "all.yaml")
    assert (file["kind"], file["name"], file["path"]) == ("file", "deployments/all.yaml", "/deployments/add")
    assert ("page", "/source") in [(result["kind"], result["path"]) for result in results(served, "sour")]


def test_letters_in_order_match_a_name_and_the_limit_holds(served: Served) -> None:
    assert results(served, "spk")[0]["name"] == "speak"
    assert [result["name"] for result in results(served, "a", limit=1)] == ["add"]
    assert results(served, "") == results(served, "%20") == results(served, "zzz") == []


def test_a_run_has_results_for_the_beginning_and_the_short_form_of_its_id(served: Served) -> None:
    run = served.run("add", a=1, b=2)
    for text in (run["id"], run["id"][:13], run["id"][-12:]):
        result = next(result for result in results(served, text) if result["path"] == f"/runs/{run['id']}")
        assert result == {
            "kind": "run",
            "name": "add",
            "detail": run["id"][-12:],
            "status": "succeeded",
            "path": f"/runs/{run['id']}",
        }
    assert results(served, run["id"][-11:]) == []


def test_invalid_searches_are_rejected(served: Served) -> None:
    for query in ("", "?q=a&limit=0", "?q=a&limit=101", "?q=a&x=1", f"?q={'a' * 201}"):
        assert served.get(f"/api/v1/search{query}").status == 422, query
