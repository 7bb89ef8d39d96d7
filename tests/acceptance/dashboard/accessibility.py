"""Checks pages with axe."""

from dataclasses import dataclass, field
from typing import Literal

from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.thoroughness import THOROUGH

Look = tuple[Literal["light", "dark"], int]
LOOKS: tuple[Look, ...] = (("light", 1440), ("dark", 390), ("light", 390), ("dark", 1440))
"""Themes and widths. A thorough run tries all on each page, other runs the first two in turn."""
OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],
}


@dataclass(slots=True)
class AccessibilityCheck:
    """Collects what axe finds: page, theme and width, rule, and elements."""

    violations: list[tuple[str, str, list[str]]] = field(default_factory=list)
    _count: int = 0

    def run(self, page: Page, name: str) -> None:
        """Check a page, which is light again afterwards. Minor violations are ignored."""
        self._count += 1
        for theme, width in LOOKS if THOROUGH else LOOKS[self._count % 2 :][:1]:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 900})
            for one in Axe().run(page, options=OPTIONS)["violations"]:
                if one["impact"] != "minor":
                    nodes = [node["html"] for node in one["nodes"]]
                    self.violations.append((f"{name}, {theme}, {width}", one["id"], nodes))
        page.emulate_media(color_scheme="light")
