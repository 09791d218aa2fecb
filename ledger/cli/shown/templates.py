"""Lines that users lay out themselves: `{consumer_id}/{stream_name} {last_sequence:>10}`.

They look like Python's format strings, but only name fields: nothing in them is looked up on an
object or run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from ledger.cli.shown.layout import width_of
from ledger.cli.shown.records import field_of
from ledger.log.text import dumps, visible, visible_json

__all__ = ["Template"]

_NAME = re.compile(r"[^\W\d]\w*(?:\.[\w/-]+)*")
_FORMAT = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>^]))?(?P<width>\d{1,3})?(?P<comma>,)?(?:\.(?P<most>\d{1,3}))?"
)
_ESCAPES = {r"\t": "\t", r"\n": "\n", r"\\": "\\"}


@attrs.frozen
class Format:
    """How wide a field is, where it stands in its width, and how much of it is shown."""

    fill: str = " "
    align: str = ""
    width: int = 0
    comma: bool = False
    most: int | None = None

    def __call__(self, value: object) -> str:
        """Return the text of `value`."""
        number = isinstance(value, int) and not isinstance(value, bool)
        text = f"{value:,}" if number and self.comma else _text(value)
        if self.most is not None:
            text = text[: self.most]
        blanks = max(self.width - width_of(text), 0)
        align = self.align or (">" if number else "<")
        before = {"<": 0, ">": blanks, "^": blanks // 2}[align]
        return self.fill * before + text + self.fill * (blanks - before)


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return visible(value)
        case dict() | list():
            return visible_json(dumps(value)) if value else ""
        case _:
            return str(value)


@attrs.frozen
class Template:
    """Texts, and the fields that stand between them with their formats."""

    parts: tuple[str | tuple[str, Format], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template that `text` writes down. Raises ValueError."""
        return cls(tuple(_parsed(text)))

    @property
    def names(self) -> list[str]:
        """The fields that it has, as they were typed."""
        return [part[0] for part in self.parts if not isinstance(part, str)]

    def renamed(self, name: Callable[[str], str]) -> Template:
        """Return the same template, in which each field is called what `name` returns for it."""
        return Template(
            tuple(
                part if isinstance(part, str) else (name(part[0]), part[1]) for part in self.parts
            )
        )

    def line(self, fields: Mapping[str, Any]) -> str:
        """Return the line for `fields`; one that is missing is empty."""
        return "".join(
            part if isinstance(part, str) else part[1](field_of(fields, part[0]))
            for part in self.parts
        )


def _parsed(text: str) -> Iterator[str | tuple[str, Format]]:
    from string import Formatter  # Few write a template.

    for literal, name, written, conversion in Formatter().parse(text):
        if literal:
            yield re.sub(r"\\[tn\\]", lambda found: _ESCAPES[found[0]], literal)
        if name is None:
            continue
        if not _NAME.fullmatch(name):
            raise ValueError(f"{{{name}}} does not name a field")
        format_ = _FORMAT.fullmatch(written or "")
        if conversion is not None or format_ is None:
            said = f"!{conversion}" if conversion is not None else f":{written}"
            raise ValueError(f"{said[:40]} is not a format of a field; write {{{name}:>10}} or so")
        given = format_.groupdict()
        yield (
            name,
            Format(
                fill=given["fill"] or " ",
                align=given["align"] or "",
                width=int(given["width"] or 0),
                comma=bool(given["comma"]),
                most=None if given["most"] is None else int(given["most"]),
            ),
        )
