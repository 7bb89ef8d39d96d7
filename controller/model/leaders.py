"""The controllers that lead states on a server. `store` reads them, `queries` returns them."""

from datetime import datetime

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The controller that leads, or led last. `leads`: whether it has renewed its lease in the last 6 seconds.

    `url` is the address to which standbys forward requests; None if the leader serves none.
    """

    leads: bool
    host: str
    pid: int
    version: str
    since: datetime
    term: int
    url: str | None
