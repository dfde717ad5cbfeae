"""Markup: elements as text in which every string that is not markup already is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Markup", "Value", "bullets", "element", "joined", "paragraph", "table"]

_SELF_CLOSED = frozenset({"br", "meta", "path", "rect", "line", "use"})
Value = str | int | float


class Markup(str):
    """Text that holds elements and is escaped already; only this module makes it."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: Value) -> Markup:
    """Write one element; plain strings are escaped, ``class_`` means class and ``_`` stands for ``-``."""
    written = "".join(f' {_name(key)}="{escape(str(value))}"' for key, value in attributes.items())
    if not children and name in _SELF_CLOSED:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def joined(parts: Iterable[str], between: str = "") -> Markup:
    """Join ``parts``, escaping those that are not markup."""
    return Markup(between.join(part if isinstance(part, Markup) else escape(part) for part in parts))


def paragraph(*children: str, **attributes: Value) -> Markup:
    """Write a paragraph."""
    return element("p", *children, **attributes)


def bullets(items: Iterable[str]) -> Markup:
    """Write a list."""
    return element("ul", *(element("li", item) for item in items))


def table(caption: str, heads: Sequence[str], rows: Iterable[Iterable[str]], kind: str = "") -> Markup:
    """Write a table of the style class ``kind`` whose first column heads its rows."""
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = (element("tr", *_cells(row)) for row in rows)
    inner = element(
        "table", element("caption", caption), element("thead", head), element("tbody", joined(body, "\n"))
    )
    return element("div", inner, class_=f"table {kind}".rstrip())


def _cells(row: Iterable[str]) -> list[Markup]:
    first, *others = row
    return [element("th", first, scope="row"), *(element("td", text) for text in others)]
