from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from elsewhere import *

if TYPE_CHECKING:
    import pandas as pd

int = str

try:
    from fast import optional
except ImportError:

    def optional(x): ...


if sys.version_info >= (3, 12):

    def conditional(a): ...
else:

    def conditional(a, b): ...


def shadowed(n: int, frame: pd.DataFrame, what: Whatever) -> None: ...


def not_hints(a: [int], b: (int, str), c: 3, d: "not a hint!", e: lambda: 3) -> None: ...
