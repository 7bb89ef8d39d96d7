"""What a flow shows, for a page: Markdown as HTML that can't be anything but text, tables and links.

HTML in the Markdown is shown as text, pictures are left out (the policy of the pages would not load them), and a link
leads only to http, https, mail, or a place of its own site.
"""

from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup


@cache
def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])


def markdown(text: str) -> Markup:
    """This Markdown as HTML. Headings are made smaller: those of the page come first."""
    reader = _reader()
    tokens = reader.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 2)}"
        if token.attrGet("style") is not None:  # of a cell; the policy allows no style in an element
            token.attrs = {"class": "number"} if "right" in str(token.attrGet("style")) else {}
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("rel", "noopener noreferrer")
    return Markup(reader.renderer.render(tokens, reader.options, {}))
