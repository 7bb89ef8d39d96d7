"""Writes documents as YAML that `loader` reads back as exactly the same values. Used by `controller render`."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from controller.manifests.yaml.scalars import plain_scalar


class _Dumper(yaml.SafeDumper):
    """A dumper without aliases, which quotes every string that YAML 1.2 would read as another type."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    is_plain = value.isprintable() and isinstance(plain_scalar(value), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def as_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return the documents as YAML, separated by `---`; an empty string if there are none."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
