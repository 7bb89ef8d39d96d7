"""Documents back to YAML that `loader` reads as exactly the same values. `controller render` calls it."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from controller.manifests.yaml.scalars import plain_scalar


class _Dumper(yaml.SafeDumper):
    """Without aliases, and with quotes around every text that YAML 1.2 would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    is_plain = value.isprintable() and isinstance(plain_scalar(value), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_plain else '"')


_Dumper.add_representer(str, _text)


def as_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    """The documents, with `---` between them; empty for none."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
