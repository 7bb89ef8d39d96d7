from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Annotated, Literal, Optional, TypedDict


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Database:
    host: str
    port: int = 5432


class Options(TypedDict, total=False):
    depth: int


def scalars(n: int, x: float, s: str, b: bool, d: date, t: timedelta) -> None: ...


def collections(a: list[int], b: dict[str, float], c: tuple[int, str], d: set[Literal[1, 2]]) -> None: ...


async def choices(mode: Literal["fast", "safe"], color: Color, limit: Optional[int] = None) -> None: ...


def records(db: Database, options: Options, both: "list[Database] | None" = None) -> None: ...


def odd(first, /, second, *rest, third: Annotated[int, "a number"] = 3) -> None: ...


def anything(**settings: int) -> None: ...
