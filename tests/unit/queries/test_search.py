"""Names are ranked by how well they match what a user types."""

import pytest

from controller.queries.search import NamePattern


@pytest.mark.parametrize(
    ("text", "name", "rank"),
    [
        ("sales", "sales", 0),
        ("SALES", "Sales", 0),
        ("sal", "sales-daily", 1),
        ("wrc", "warehouse-rebuild-cube", 2),
        ("w r c", "warehouse-rebuild-cube", 2),
        ("wrc", "Warehouse_Rebuild.Cube", 2),
        ("wrc", "warehouseRebuildCube", 2),
        ("dai", "sales-daily", 3),
        ("ily", "sales-daily", 4),
        ("sdy", "sales-daily", 5),
        ("yds", "sales-daily", None),
        (".*", "sales", None),
        ("a" * 40 + "b", "a" * 63, None),
        ("a-" * 20 + "b", "a-" * 100, None),
    ],
)
def test_the_rank_of_a_name(text: str, name: str, rank: int | None) -> None:
    assert NamePattern(text).rank(name) == rank
