"""Small screenshots of pages, and their comparison with stored images."""

import base64
import struct
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

DIRECTORY = Path(__file__).parent / "snapshots"
SCALE = 0.25
MAX_HEIGHT = 2000
"""Only this part of a page is compared, in CSS pixels."""
COLOURS = 32
RADIUS = 5
TOLERANCE = 19.0
"""The largest change of a blurred channel, of 255. Other hinting causes up to 15, a missing card with one line 29."""
HEIGHT_TOLERANCE = 4
PATIENCE_SECONDS = 20.0
_COMPARE = (Path(__file__).parent / "compare_images.js").read_text(encoding="utf-8")

Pixel = bytes


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Compares pages with stored images. `blank` is a page of the same browser in which images are decoded."""

    blank: Page
    output: Path

    def compare(self, page: Page, name: str, *, is_update: bool) -> list[str]:
        """Return how the page differs from the image with this name: an empty list, or a sentence with the files.

        A page that differs is compared again for a while: it may still load. `is_update` stores its image instead.
        """
        stored = DIRECTORY / f"{name}.png"
        if is_update:
            stored.write_bytes(_png(self._compare(_still(page), None), "pixels"))
            return []
        before = base64.b64encode(stored.read_bytes()).decode() if stored.exists() else None
        end = time.monotonic() + PATIENCE_SECONDS
        result = self._compare(_screenshot(page), before)
        while (problem := _problem(result)) is not None and time.monotonic() < end:
            result = self._compare(_screenshot(page), before)
        if problem is None:
            return []
        new, changes = self.output / f"{name}.png", self.output / f"{name}.difference.png"
        new.write_bytes(_png(result, "pixels"))
        if "difference" in result:
            changes.write_bytes(_png(result, "difference"))
        return [f"{name}: {problem}; see {new} and {changes}"]

    def _compare(self, actual: str, stored: str | None) -> dict[str, Any]:
        arguments = {"actual": actual, "stored": stored, "radius": RADIUS, "tolerance": TOLERANCE}
        result: dict[str, Any] = self.blank.evaluate(_COMPARE, arguments)
        return result


def _problem(result: dict[str, Any]) -> str | None:
    if result["before"] is None:
        return "there is no stored image"
    width, height = result["before"]
    if width != result["width"] or abs(height - result["height"]) > HEIGHT_TOLERANCE:
        return f"has {result['width']} by {result['height']} pixels, {width} by {height} before"
    if result["worst"] <= TOLERANCE:
        return None
    x, y = round(result["x"] / SCALE), round(result["y"] / SCALE)
    return f"differs by {result['worst']:.0f} at ({x}, {y})"


def _still(page: Page) -> str:
    """Return a screenshot that is the same as the one before it."""
    images = ["", _screenshot(page)]
    while images[-1] != images[-2]:
        images.append(_screenshot(page))
    return images[-1]


def _screenshot(page: Page) -> str:
    """Return the upper part of the page as a PNG image in base64."""
    width, height = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, MAX_HEIGHT), "scale": SCALE}
    session = page.context.new_cdp_session(page)
    image = session.send("Page.captureScreenshot", {"format": "png", "clip": clip, "captureBeyondViewport": True})
    session.detach()
    return str(image["data"])


def _png(result: dict[str, Any], key: str) -> bytes:
    """Return pixels as a PNG image with a palette."""
    data, width = base64.b64decode(result[key]), result["width"]
    pixels = [data[at : at + 3] for at in range(0, len(data), 3)]
    palette, nearest = _palette(Counter(pixels))
    indices = bytes(nearest[pixel] for pixel in pixels)
    rows = b"".join(b"\0" + indices[at : at + width] for at in range(0, len(indices), width))
    header = struct.pack(">IIBBBBB", width, len(indices) // width, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _palette(counts: Counter[Pixel]) -> tuple[list[Pixel], dict[Pixel, int]]:
    """Return the colours of a palette, and the index of the nearest one for each pixel.

    Each colour is the one that the colours before it represent worst, counted by its pixels.
    """
    palette = [counts.most_common(1)[0][0]]
    nearest = {pixel: (_distance(palette[0], pixel), 0) for pixel in counts}
    while len(palette) < COLOURS:
        worst = max(counts, key=lambda pixel: nearest[pixel][0] * counts[pixel])
        if nearest[worst][0] == 0:
            break
        palette.append(worst)
        for pixel, best in nearest.items():
            nearest[pixel] = min(best, (_distance(worst, pixel), len(palette) - 1))
    return palette, {pixel: index for pixel, (_, index) in nearest.items()}


def _distance(one: Pixel, other: Pixel) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
