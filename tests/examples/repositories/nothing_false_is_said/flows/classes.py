from dataclasses import KW_ONLY, InitVar, dataclass, field
from enum import Enum
from typing import ClassVar, NamedTuple, NewType, NotRequired, Protocol, Required, TypedDict, TypeVar

import attrs
from pydantic import BaseModel, Field


@dataclass(frozen=True)
class Base:
    a: int
    _: KW_ONLY
    b: InitVar[int] = 3
    K: ClassVar[int] = 5
    c: int = field(default=1, kw_only=True)


@dataclass
class Sub(Base):
    children: "list[Sub]" = field(default_factory=list)
    d: "int | None" = None


class Model(BaseModel):
    a: int = Field(alias="A")


@attrs.define
class Attrs:
    x: int


class Pair(NamedTuple):
    x: int
    y: int = 2


class Keys(TypedDict, total=False):
    a: Required[int]
    b: NotRequired[str]


Functional = TypedDict("Functional", {"in": int, "out-dir": str})


class Forgiving(Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> "Forgiving":
        return cls.A


class Sized(Protocol):
    def __len__(self) -> int: ...


UserId = NewType("UserId", int)
T = TypeVar("T", int, str)


def main(s: Sub, m: Model, x: Attrs, p: Pair, k: Keys, f: Functional, e: Forgiving, z: Sized, u: UserId, t: T): ...
