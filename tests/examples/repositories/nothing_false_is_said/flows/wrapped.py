import functools
from typing import Callable, ParamSpec, TypeVar, overload

import click
from tenacity import retry

P = ParamSpec("P")
R = TypeVar("R")


def lenient(function: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        kwargs.pop("extra", None)
        return function(*args, **kwargs)

    return inner


@lenient
def decorated(a: int) -> None: ...


@retry(reraise=True)
def retried(a: list[int]) -> None: ...


@click.command()
@click.option("--n")
def command(n: int) -> None: ...


@overload
def overloaded(a: int) -> int: ...
@overload
def overloaded(a: str, b: int) -> str: ...
def overloaded(a, b=None): ...


def _base(a: int, b: str) -> None: ...


partial = functools.partial(_base, b="x")


class Flow:
    def __call__(self, **anything: object) -> None: ...


instance = Flow()


def later(a: int) -> None: ...


later = lenient(later)
