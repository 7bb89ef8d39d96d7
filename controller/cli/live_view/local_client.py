"""The client of the live view: the times in texts are in the time zones of the deployments that the texts are about.

The API returns these texts with times in UTC, as they were recorded.
"""

from datetime import tzinfo
from typing import Any, cast

from controller.client import Client, ProblemError
from controller.client.shapes import RunDetail
from controller.schedules import zone
from controller.time_format import convert_times_of

_TEXTS = frozenset({"message", "reason", "waiting", "waits_for"})


class LocalClient(Client):
    """A client for one view. It looks up the time zone of a deployment when a text about it has a time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._zones: dict[str, str | None] = {}

    def run(self, run_id: str) -> RunDetail:
        """Return a run, with the name of the time zone of its deployment as `timezone`."""
        run = super().run(run_id)
        return cast("RunDetail", {**run, "timezone": self._zone_name(run["deployment"])})

    def _get(self, path: str, **filters: Any) -> Any:
        return self._local(super()._get(path, **filters), "")

    def _local(self, value: Any, name: str) -> Any:
        """Return JSON with its texts converted. `name` is the deployment that it is a part of, if it is known."""
        if isinstance(value, list):
            return [self._local(item, name) for item in value]
        if not isinstance(value, dict):
            return value
        if "timezone" in value and "sync" in value:  # a deployment
            name = value["name"]
            self._zones[name] = value["timezone"]
        else:
            name = value.get("deployment") or value.get("about") or name
        return {
            key: convert_times_of(name, item, self._zone)
            if key in _TEXTS and isinstance(item, str)
            else self._local(item, name)
            for key, item in value.items()
        }

    def _zone(self, name: str) -> tzinfo | None:
        found = self._zone_name(name)
        return None if found is None else zone(found)

    def _zone_name(self, name: str) -> str | None:
        if name not in self._zones:
            try:
                self.deployment(name)  # this records its time zone
            except ProblemError:
                self._zones[name] = None
        return self._zones[name]
