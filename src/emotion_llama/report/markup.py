"""HTML and SVG from Python values, so that no text reaches a page unescaped.

`element` escapes every child and attribute that is not already `Html`; the type checker keeps the two apart.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from emotion_llama.report.wording import printable

Attribute = str | int | float | bool | None

# Elements without an end tag (HTML Living Standard, 13.1.2).
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Text that is markup already and is written as it is."""

    __slots__ = ()


def escape(text: str) -> Html:
    """`text` as markup that shows exactly its printable characters."""
    return text if isinstance(text, Html) else Html(html.escape(printable(text), quote=True))


def number(value: float) -> str:
    """A coordinate with at most two decimals and no trailing zeros: 12.50 -> "12.5", 3.0 -> "3"."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def element(name: str, /, *children: str, **attributes: Attribute) -> Html:
    """`<name attributes>children</name>`.

    A trailing underscore of an attribute's name is dropped (`class_`), other underscores become hyphens. True writes
    the bare name, False and None write nothing, floats are coordinates (see `number`).
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{''.join(escape(child) for child in children)}</{name}>")


def join(parts: Iterable[str], separator: str = "") -> Html:
    """All parts, each escaped unless it is markup."""
    return Html(escape(separator).join(escape(part) for part in parts))


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{escape(number(value) if isinstance(value, float) else str(value))}"'
