"""Renders the Markdown artifacts of a run as safe HTML: text, tables and links only.

HTML in the Markdown is shown as text. Images are dropped (the content security policy would not load them anyway).
Links may point to http, https and mailto URLs and to relative URLs only.
"""

from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # 6 MB, which most controllers never need

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])


def markdown(text: str) -> Markup:
    """Render Markdown as HTML, with headings two levels lower so that they rank below those of the page."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 2)}"
        if token.attrGet("style") is not None:  # the alignment of a table cell; the policy forbids inline styles
            token.attrs = {"class": "number"} if "right" in str(token.attrGet("style")) else {}
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noopener noreferrer")
    return Markup(parser.renderer.render(tokens, parser.options, {}))
