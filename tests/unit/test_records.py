"""The faster `dataclass` makes the same classes as that of the standard library, but compiles methods when needed."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A value with all kinds of fields."""

    x: int
    y: int = 2
    tags: list[str] = field(default_factory=list)
    seen_at: float = field(default=0.0, compare=False)
    secret: str = field(default="", repr=False, metadata={"internal": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Point):
    """A subclass with a field of its own."""

    name: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A value with positional fields and its own comparison."""

    first: Any
    second: Any = None

    def __hash__(self) -> int:
        return 7

    def __str__(self) -> str:
        return "a pair"


@dataclass(frozen=True, slots=True, eq=False)
class Handle:
    """A value that is only equal to itself."""

    number: int


def test_fields_have_their_values_and_defaults() -> None:
    point = Point(x=1)
    assert (point.x, point.y, point.tags, point.secret) == (1, 2, [], "")
    assert Point(x=1).tags is not point.tags
    assert not hasattr(point, "__dict__")
    assert (Pair(1).second, Pair(1, 2).second, Pair(1, second=3).second) == (None, 2, 3)
    assert Place(x=1, name="here").name == "here"


def test_wrong_arguments_are_refused() -> None:
    make: Any = Point
    with pytest.raises(TypeError, match=r"Point\.__init__\(\) missing 1 required keyword-only argument: 'x'"):
        make()
    with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
        make(1)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'z'"):
        make(x=1, z=2)


def test_equal_values_are_equal_and_have_the_same_hash() -> None:
    assert Point(x=1, seen_at=1.0) == Point(x=1, seen_at=2.0)
    assert Point(x=1) != Point(x=2)
    assert Place(x=1, name="") != Point(x=1)
    other: object = 1
    assert Point(x=1) != other
    assert len({dataclasses.replace(Pair(1)), Pair(1)}) == 1
    assert hash(Pair([])) == 7
    assert Handle(1) != Handle(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(x=1))


def test_values_are_frozen() -> None:
    point: Any = Point(x=1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x


def test_the_text_of_a_value_names_its_fields() -> None:
    assert repr(Point(x=1, secret="key")) == "Point(x=1, y=2, tags=[], seen_at=0.0)"
    assert str(Pair(1)) == "a pair"
    around: list[Any] = []
    around.append(Pair(around))
    assert repr(around) == "[Pair(first=[...], second=None)]"


def test_values_can_be_copied_replaced_and_sent_to_other_processes() -> None:
    place = Place(x=1, tags=["a"], name="here", secret="key")
    assert pickle.loads(pickle.dumps(place)) == copy.deepcopy(place) == place
    assert dataclasses.replace(place, x=5).x == 5
    assert dataclasses.asdict(place) == {"x": 1, "y": 2, "tags": ["a"], "seen_at": 0.0, "secret": "key", "name": "here"}
    assert [each.name for each in dataclasses.fields(Place)] == ["x", "y", "tags", "seen_at", "secret", "name"]


COUNT = """
import sys
compiled = []
def count(event, arguments):
    if event == "compile" and arguments[0] is not None and bytes(arguments[0]).lstrip().startswith(b"def "):
        compiled.append(arguments[0])
sys.addaudithook(count)
import controller.cli.validate, controller.cli.channel_check, controller.cli.manifest_files
loading = len(compiled)
from controller.model.findings import Finding, Severity
for _ in range(2):
    repr(Finding(code="", message="", file="", line=1, column=1, severity=Severity.ERROR))
print(loading, len(compiled))
"""


def test_loading_modules_compiles_hardly_any_methods_and_the_first_object_only_one() -> None:
    """`controller validate` loads a hundred such classes. A few are compiled, whose objects are defaults of others."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    loading, created = map(int, done.stdout.split())
    assert (loading <= 10, created - loading) == (True, 1)
