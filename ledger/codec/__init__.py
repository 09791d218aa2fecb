"""How values are written: as text, as rows of the log, and as JSON. What is read is distrusted."""

from ledger.codec.plain import structure, unstructure
from ledger.codec.rows import TAGS, Content, Row, content, cursor, entry
from ledger.codec.text import (
    dumps,
    instant,
    loads,
    micros,
    parse_time,
    show_time,
    visible,
    visible_json,
)

__all__ = [
    "TAGS",
    "Content",
    "Row",
    "content",
    "cursor",
    "dumps",
    "entry",
    "instant",
    "loads",
    "micros",
    "parse_time",
    "show_time",
    "structure",
    "unstructure",
    "visible",
    "visible_json",
]
