"""HTML elements. They escape their text: no file name can become markup."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_VOID = ("img", "link", "meta")  # without an end tag


class Markup(str):
    """Text that is HTML already."""


def element(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """One element; children that are no `Markup` are text.

    In an attribute's name `_` becomes `-`: `class_` is class, `font_size` is font-size.
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
    ]
    start = f"<{name}{''.join(pairs)}>"
    return Markup(start if name in _VOID else f"{start}{join(children)}</{name}>")


def join(parts: Iterable[Any]) -> Markup:
    """Elements and text, one after the other."""
    return Markup("".join(p if isinstance(p, Markup) else escape(str(p)) for p in parts))


def section(title: str, *children: Any) -> Markup:
    """A part of the page with its title."""
    return join(["\n", element("section", element("h2", title), *children)])


def table(caption: str, header: Iterable[Any], rows: Iterable[Sequence[Any]]) -> Markup:
    """A table that scrolls by itself where the page is narrow; the first cell names its row."""
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    body = (
        element("tr", element("th", first, scope="row"), *(element("td", cell) for cell in cells))
        for first, *cells in rows
    )
    whole = element(
        "table",
        element("caption", caption),
        element("thead", head),
        element("tbody", *body),
    )
    # It can be scrolled by keys as well, once it has the focus.
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def definitions(pairs: Iterable[tuple[str, Any]], class_: str = "") -> Markup:
    """Terms and their meanings."""
    items = (element("div", element("dt", term), element("dd", text)) for term, text in pairs)
    return element("dl", *items, class_=class_)


def folded(summary: str, *children: Any) -> Markup:
    """Content that opens on a click, and in print."""
    return element("details", element("summary", summary), *children)


def number(value: float | None, digits: int = 0) -> str:
    """A number as text, with its exact value as `data`'s; a dash for None."""
    return "–" if value is None else element("data", f"{value:,.{digits}f}", value=f"{value:.10g}")
