"""The methods of the client about notifications."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, cast

from controller.client.shapes import ChannelStatus, Incident, NotificationMessage
from controller.client.urls import part

TEST_SECONDS = 90.0
"""Timeout of the request that tests a channel; the controller itself gives up after 60 seconds."""


class NotificationMethods(ABC):
    """Reads messages, channels and incidents, and tests channels."""

    def messages(self, **filters: Any) -> Iterator[NotificationMessage]:
        """Iterate over messages, newest first. Filters: `deployment`, `delivery` (one or more)."""
        return cast("Iterator[NotificationMessage]", self._pages("/notifications/messages", filters))

    def channels(self) -> list[ChannelStatus]:
        """Return the channels of the operator, by name."""
        return cast("list[ChannelStatus]", self._get("/notifications/channels"))

    def incidents(self, **filters: Any) -> Iterator[Incident]:
        """Iterate over incidents, newest first. Filter: `is_open`."""
        return cast("Iterator[Incident]", self._pages("/notifications/incidents", filters))

    def test_channel(self, name: str) -> NotificationMessage:
        """Send a test message to a channel, and return it with the result of the delivery, within a minute."""
        path = f"/notifications/channels/{part(name, 'channel', 'notify channels')}/test"
        return cast("NotificationMessage", self._post(path, {}, seconds=TEST_SECONDS))

    @abstractmethod
    def _get(self, path: str, **filters: Any) -> Any:
        """Send a GET request with these query parameters, and return the JSON of the response."""

    @abstractmethod
    def _post(
        self, path: str, body: Any, headers: Mapping[str, bytes] | None = None, seconds: float | None = None
    ) -> Any:
        """Send a POST request with a JSON body, and return the JSON of the response."""

    @abstractmethod
    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Any]:
        """Iterate over the items of all pages of a list."""
