"""A table of hints and values, for the converter. The static check must agree with it.

The key is True for values that are accepted and False for those that are refused. It is None for values that are not
reported by the static check, because the file alone does not show what the hint means.
"""

from typing import Any

Table = dict[str, dict[bool | None, list[Any]]]

IMPORTS = """
import collections.abc, dataclasses, datetime, decimal, enum, pathlib, typing, uuid
import datetime as dt, typing as t
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import Annotated, Any, Dict, Final, FrozenSet, List, Literal, Mapping, NewType, Optional, Sequence, Set
from typing import List as L
from typing import Tuple, TypedDict, Union
from uuid import UUID
"""

CLASSES = (
    IMPORTS
    + '''
class Color(Enum):
    """A docstring is no member."""
    RED = "red"
    BLUE = "blue"

class Level(IntEnum):
    LOW = 1
    HIGH = 2

class Size(StrEnum):
    SMALL = auto()

class Odd(Enum):
    A = object()

class Mixed(str, Enum):
    A = 1

class Rights(enum.Flag):
    READ = auto()
    WRITE = auto()
    RUN = 4

class Sparse(enum.Flag):
    A = 1
    B = 8

class Kept(enum.IntFlag):
    A = 1

class Odder(enum.Flag):
    A = 1
    B = A << 3

class Forgiving(Enum):
    A = 1
    @classmethod
    def _missing_(cls, value): return cls.A

@dataclass(order=True)
class Base:
    days: int
    region: str = "eu"

@dataclass
class Options(Base):
    limits: list[int] = field(default_factory=list)
    parent: "Options | None" = None

@dataclass
class Own:
    days: int
    def __init__(self, *anything): ...

@dataclass
class Derived:
    days: int
    total: int = field(init=False)

@dataclass
class Further(Derived):
    total: int = field(kw_only=True)

@dataclass
class Fewer(Base):
    days: int = field(init=False)

@dataclass
class Decided:
    days: int = field(init=True)

@dataclass
class Undecided:
    days: int = field(init=bool(1))

class Strange(Base):
    days: str

class Query(TypedDict):
    table: str
    limit: typing.NotRequired[int]

class Loose(Query, total=False):
    order: str

Ids = list[int]
Tree = list["Trees"]
Trees = list["Tree"]
Id = NewType("Id", int)
Name = typing.NewType("Name", tp=str)
Ident = NewType("Ident", "Id | None")
'''
)

_YES, _NO, _UNSURE = True, False, None

SCALARS: Table = {
    "int": {
        _YES: [0, -3, True, 4.0, 1e20, "42", " 42 ", "-7", "+7", "1_000", "42.0"],
        _NO: [4.5, "4.5", "x", "", "1e3", "0x10", "1__0", None, [], {}, [1], float("nan"), float("inf"), "9" * 5000],
    },
    "float": {
        _YES: [0, 1.5, True, "1.5", "1e3", " 2 ", "nan", "inf", 2**53],
        _NO: ["", "x", "1,5", None, [], {}],
    },
    "str": {_YES: ["", "x", 100, 1.5, "null"], _NO: [True, None, [], ["x"], {}]},
    "bool": {
        _YES: [True, False, 0, 1, 0.0, 1.0, *["true", "FALSE", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"]],
        _NO: [2, -1, 0.5, "", "maybe", "2", None, [], {}],
    },
    "bytes": {_YES: ["", "abc"], _NO: [1, True, None, [], {}, "\ud800"]},
    "date": {
        _YES: ["2026-01-31", "2026-01-31T00:00:00", " 2026-01-31T00:00:00 ", "20260131"],
        _NO: [
            *["2026-02-30", "2026-01-31T10:00:00", "tomorrow", "31.01.2026", "", True, None, [], {}],
            *[0, 1.5, "1700000000"],
        ],
    },
    "dt.datetime": {
        _YES: ["2026-01-31", "2026-01-31T10:00", "2026-01-31 10:00:00+02:00", "2026-01-31t10:00:00z", 1700000000, 1.5],
        _NO: ["2026-02-30T10:00:00", "now", "", True, None, [], {}, "1700000000", "5", 1e300, float("nan")],
    },
    "time": {_YES: ["10:30", "10:30:15.5"], _NO: ["25:00", "noon", "", True, None, [], {}, 0, 3600.5, "60"]},
    "timedelta": {
        _YES: [0, 90, 1.5, "PT1H30M", "P2D", "01:30", "01:30:00", "1 day, 00:00:01"],
        _NO: [
            "soon",
            "",
            None,
            [],
            {},
            True,
            "90s",
            "1h30m",
            "2 days",
            "1d",
            "30",
            "5",
            1e300,
            float("inf"),
            "P9999999999D",
        ],
    },
    "Decimal": {_YES: [1, 1.5, "1.50", "1e3"], _NO: ["1,5", "x", "", None, [], {}, True]},
    "UUID": {
        _YES: ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b8109dad11d180b400c04fd430c8"],
        _NO: ["6ba7b810", "", 5, True, None, [], {}],
    },
    "Path": {_YES: ["a/b", "", "."], _NO: [5, True, None, [], {}]},
    "None": {_YES: [None], _NO: [0, "", False, [], {}]},
    "Any": {_YES: [None, 0, "", False, [], {}]},
    "object": {_YES: [None, 0, "", False, [], {}]},
}

COLLECTIONS: Table = {
    "list": {_YES: [[], [1, "a", None], [[]]], _NO: ["", "[1, 2]", 5, None, {}, True]},
    "list[int]": {
        _YES: [[], [1, 2], ["1", 2, "3", 4.0], [True]],
        _NO: ["[1, 2, 3, 4]", "1,2", "", 5, None, {}, [None], ["x"], [[1]], [1.5]],
    },
    "List": {_YES: [[1, "a"]], _NO: ["[1]", {}]},
    "L[int]": {_YES: [["1"]], _NO: ["[1]"]},
    "t.List['int']": {_YES: [["1"]], _NO: [["x"]]},
    "list[list[str]]": {_YES: [[["a"], []]], _NO: [["a"], [[["a"]]]]},
    "set": {_YES: [[], [1, "a", None]], _NO: [[[1]], [1, {}]]},
    "Set[str]": {_YES: [["a", "a"], []], _NO: ["a", {"a": 1}, [[]]]},
    "Set[Any]": {_YES: [["a", 1]], _NO: [[[1]], ["a", {"b": 1}]]},
    "set[list[int]]": {_YES: [[]], _NO: [[[1]], [["1"], []]]},
    "set[dict[str, int]]": {_YES: [[]], _NO: [[{"a": 1}], [{}]]},
    "set[Sequence[int]]": {_YES: [[]], _NO: [[[1]]]},
    "set[tuple]": {_YES: [[[1], []]], _NO: [[[1, [2]]]]},
    "set[tuple[int, ...]]": {_YES: [[[1], ["2"]]], _NO: [[1]]},
    "set[tuple[Any, int]]": {_YES: [[["a", 1]]], _NO: [[[[1], 1]]]},
    "set[frozenset[int]]": {_YES: [[["1"], [2]]], _NO: [[1]]},
    "frozenset[set[int]]": {_YES: [[]], _NO: [[[1]]]},
    "frozenset[list[int] | int]": {_YES: [[1, "2"]], _NO: [[1, [2]]]},
    "set[list[int] | tuple[int, ...]]": {_YES: [[]], _NO: [[[1]]]},
    "typing.MutableSet": {_YES: [[1]], _NO: [[[1]]]},
    "list[set[Any]]": {_YES: [[[1]]], _NO: [[[[1]]]]},
    "frozenset[int]": {_YES: [["1"]], _NO: [{"1": 1}, 1]},
    "FrozenSet": {_YES: [["1"]], _NO: [1]},
    "Sequence[int]": {_YES: [[1]], _NO: ["[1, 2]", "12", {"1": 2}, 3]},
    "Sequence[str]": {_YES: [["a"]], _NO: ["['a']", {"a": 1}, 3, None], _UNSURE: ["abc"]},
    "Sequence[date]": {_YES: [["2026-01-31"]], _NO: ["abc", {"a": 1}]},
    "Sequence[list[str]]": {_NO: ["abc", ["abc"]]},
    "typing.Iterable[int | None]": {_YES: [[None, "1"]], _NO: ["abc", {"a": 1}, {}]},
    "typing.Iterable[Any]": {_YES: [[None, "1"]], _UNSURE: ["abc", {"a": 1}, {}]},
    "collections.abc.Iterable[str]": {_YES: [["a"]], _NO: [5, None], _UNSURE: ["abc", {"a": 1}]},
    "typing.Iterable[int]": {_YES: [["1"]], _NO: ["12", {"1": 2}]},
    "typing.Collection[int]": {_YES: [[1]], _NO: ["1", {"1": 1}]},
    "dict": {_YES: [{}, {"a": None}], _NO: ["{}", [], [["a", 1]], 5, None]},
    "dict[str, int]": {_YES: [{}, {"a": "1"}], _NO: [{"a": "x"}, {"a": None}, '{"a": 1}', [1]]},
    "Dict[int, str]": {_YES: [{"1": "a"}], _NO: [{"a": "a"}]},
    "Mapping[str, Any]": {_YES: [{"a": [None]}], _NO: [[], "a"]},
    "tuple": {_YES: [[], [1, "a"]], _NO: ["(1, 2)", {}, 5]},
    "tuple[int, ...]": {_YES: [[], [1, "2"]], _NO: [["x"], "1"]},
    "Tuple[int, str]": {_YES: [[1, "a"], ["1", 2]], _NO: [[1], [1, "a", 2], ["a", "a"], "ab", {}]},
    "tuple[()]": {_YES: [[]], _NO: [[1], None]},
}

COMBINED: Table = {
    "Optional[int]": {_YES: [None, 1, "1"], _NO: ["x", []]},
    "int | None": {_YES: [None, 1, "1"], _NO: ["x", []]},
    "'int | None'": {_YES: [None, 1], _NO: ["x"]},
    "None | list[int]": {_YES: [None, ["1"]], _NO: ["[1]", ["x"]]},
    "Union[int, List[str]]": {_YES: [1, "1", ["a"]], _NO: ["a", [None], None, {}]},
    "Union[int, Optional[bool]]": {_YES: [None, "yes", 5], _NO: ["maybe"]},
    "int | DataFrame": {_YES: [1], _UNSURE: ["x", None, []]},
    "Literal['a', 1, True]": {_YES: ["a", 1, True], _NO: ["b", "1", 2, None, [], "A", False, 1.0]},
    "Literal[1]": {_YES: [1], _NO: [2, "1", True, 1.0]},
    "Literal[True]": {_YES: [True], _NO: [1, "true"]},
    "Literal[-1, None]": {_YES: [-1, None], _NO: [1, "None"]},
    "Literal['a', b'b']": {_YES: ["a"], _UNSURE: ["b"]},
    "Literal[Literal['a'], 'b']": {_YES: ["b"], _UNSURE: ["a", "c"]},
    "Annotated[int, 'in days']": {_YES: [1], _NO: ["x"]},
    "Annotated[int, Field(gt=0)]": {_YES: [1], _NO: ["x"]},
    "Annotated[list, BeforeValidator(parse)]": {_UNSURE: ["[1]", 5]},
    "Final[int]": {_YES: [1], _NO: ["x"]},
    "Final": {_UNSURE: [1, "x"]},
}

DEFINED: Table = {
    "Color": {_YES: ["red", "BLUE"], _NO: ["green", 1, None, [], {}, "Red"]},
    "Level": {_YES: [1, 2, "LOW", 1.0, True], _NO: [3, "low", "3", "1", "+1", "2.0", 1.5, False]},
    "Mixed": {_YES: ["A", "1"], _NO: [1, "x"]},
    "Rights": {
        _YES: [1, 3, 7, 0, -1, 1.0, 3.0, "READ", True],
        _NO: [8, 9, 8.0, "8", "1", "read", "READ|WRITE", 0.5, None, [], {}],
    },
    "Sparse": {_YES: [1, 8, 9], _NO: [2, 10]},
    "Kept": {_YES: [1, 8, 1000, "A"], _NO: ["x", None, []]},
    "Odder": {_YES: ["A", "B", 1], _UNSURE: [4, 8]},
    "Size": {_YES: ["small", "SMALL"], _NO: ["large", 1]},
    "Odd": {_YES: ["A"], _UNSURE: ["B", 1]},
    "Forgiving": {_YES: [1, "A"], _UNSURE: ["B", 2]},
    "dict[Color, int]": {_YES: [{"red": "1", "BLUE": 2}], _NO: [{"green": 1}, {"red": "x"}]},
    "Tree": {_YES: [[]], _NO: ["[]", [5]], _UNSURE: [[[[5]]]]},
    "list[Color]": {_YES: [["red", "BLUE"]], _NO: [["green"], "red"]},
    "Base": {
        _YES: [{"days": 1}, {"days": "1", "region": "us"}],
        _NO: [{}, {"days": "x"}, {"days": 1, "regoin": "eu"}, "Base", [1, "eu"], 1, None],
    },
    "Options": {
        _YES: [{"days": 1, "limits": ["1"]}, {"days": 1, "parent": None}],
        _NO: [{"limits": []}, {"days": 1, "limits": "[1]"}],
        _UNSURE: [{"days": 1, "parent": {"days": "x"}}, {"days": 1, "parent": 5}],
    },
    "Own": {_UNSURE: [{}, "x", 1]},
    "Derived": {_YES: [{"days": 1}, {"days": "2"}], _NO: [{}, {"days": 1, "total": 2}, {"days": "x"}, 5]},
    "Further": {_YES: [{"days": 1, "total": 5}], _NO: [{"days": 1}, {"total": 5}]},
    "Fewer": {_YES: [{"region": "us"}, {}], _NO: [{"days": 1}]},
    "Decided": {
        _YES: [{"days": 1}],
        _NO: [{}],
    },
    "Undecided": {_UNSURE: [{"days": 1}, {}]},
    "set[Base]": {_YES: [[]], _NO: [[{"days": "x"}]], _UNSURE: [[{"days": 1}]]},
    "set[Color]": {_YES: [["red", "BLUE"]], _NO: [["green"], [[1]]]},
    "set[Query]": {_YES: [[]], _NO: [[{"table": "a"}]]},
    "Strange": {_UNSURE: [{"days": "x"}, 1]},
    "Query": {
        _YES: [{"table": "a"}, {"table": "a", "limit": 1}],
        _NO: [{}, {"table": None}, {"table": "a", "limit": "x"}, "a", [], None],
        _UNSURE: [{"table": "a", "other": 1}],
    },
    "Loose": {_YES: [{"table": "a"}, {"table": "a", "order": "b"}], _NO: [{"order": "b"}, {"table": "a", "order": []}]},
    "Ids": {_YES: [["1"]], _NO: ["[1]"]},
    "'Ids | None'": {_YES: [None], _NO: ["[1]"]},
    "Id": {_YES: [1, "1"], _NO: ["x", None]},
    "list[Id]": {_YES: [["1"]], _NO: [["x"]]},
    "Name": {_YES: ["x"], _NO: [True]},
    "Ident": {_YES: [None, "7"], _NO: ["x"]},
    "Missing": {_UNSURE: [1, "x", None]},
    "pandas.DataFrame": {_UNSURE: [1, "x", None]},
    "typing.Callable[[], int]": {_UNSURE: [1, "x", None]},
    "list[int, str]": {_UNSURE: [1, "x", []]},
    "'not an expression'": {_UNSURE: [1, "x", []]},
    "5": {_UNSURE: [1, "x", []]},
    "type[int]": {_UNSURE: ["int", 1]},
}

TABLES: list[tuple[str, Table]] = [(IMPORTS, SCALARS), (IMPORTS, COLLECTIONS), (IMPORTS, COMBINED), (CLASSES, DEFINED)]
"""The tables, each with the source of the file before `def main(value: hint)`."""
