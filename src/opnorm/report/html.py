"""HTML from nested calls: text is escaped, every element is closed, and files travel inside."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_VOID = frozenset({"br", "hr", "img", "meta"})


class Html(str):
    """Text that is HTML already."""


Child = str | None
"""What an element may contain: text, HTML, or nothing."""


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """<tag attributes>children</tag>.

    Args:
        tag: its name.
        children: text, which is escaped, and `Html`, which is not; None is left out.
        attributes: by name, `class_` for class and `aria_label` for aria-label; True for one without a value, and
            those that are None or False are left out.
    """
    opened = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    return Html(opened if tag in _VOID else f"{opened}{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """`children` one after the other; text is escaped."""
    return Html("".join(_escape(child) for child in children if child is not None))


def table(
    header: Sequence[Child], rows: Iterable[Sequence[Child]], *, caption: str, words: int = 1, class_: str | None = None
) -> Html:
    """A table whose rows begin with their name, in a box that scrolls where it is too wide.

    Args:
        header: a cell per column.
        rows: their cells; the first is the row's header.
        caption: what it shows.
        words: so many columns, from the left, have words; the others have numbers, and are aligned to the right.
        class_: of the table.
    """
    kinds = [None if column < words else "number" for column in range(len(header))]
    head = [element("th", cell, scope="col", class_=kind) for cell, kind in zip(header, kinds, strict=True)]
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell, class_=kind) for cell, kind in cells))
        for row in rows
        for cells in [list(zip(row[1:], kinds[1:], strict=True))]
    ]
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
        class_=class_,
    )
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=caption)


def data_uri(content: bytes, kind: str) -> str:
    """`content` as the address of itself; `kind` is its MIME type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def download(path: Path) -> Html:
    """A link with which a csv leaves the page."""
    return element("a", f"Download {path.name}", href=data_uri(path.read_bytes(), "text/csv"), download=path.name)


def prose(text: str) -> Html:
    """Paragraphs of reStructuredText with ``literals``, **strong** and *emphasised* words, as captions have them."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return join(element("p", _inline(part)) for part in paragraphs)


def page(title: str, style: str, *body: Child) -> Html:
    """A whole document that loads nothing: its browser is told to refuse anything that is not inside."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            **{"http-equiv": "Content-Security-Policy"},
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    return Html(f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n")


_MARKUP = re.compile(r"``(?P<code>.+?)``|\*\*(?P<strong>.+?)\*\*|\*(?P<em>\S.*?)\*")


def _inline(text: str) -> Html:
    parts: list[Child] = []
    end = 0
    for found in _MARKUP.finditer(text):
        parts += [text[end : found.start()], element(found.lastgroup or "span", found[found.lastgroup or 0])]
        end = found.end()
    return join([*parts, text[end:]])


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{html.escape(str(value))}"'


def _escape(child: str) -> str:
    return child if isinstance(child, Html) else html.escape(child, quote=False)
