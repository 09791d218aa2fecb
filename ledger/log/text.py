"""Times and JSON as numbers and text. What is read is distrusted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

from ledger.errors import InvalidCursorError, invalid
from ledger.law import fields

__all__ = [
    "dumps",
    "instant",
    "loads",
    "micros",
    "parse_time",
    "show_time",
    "visible",
    "visible_json",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return the microseconds from 1970 UTC to `moment`."""
    # An append asks for its moment three times, a batch for each entry. The pair is replaced as a
    # whole, so a thread never sees the moment of one and the number of another.
    known, number = _Last.asked
    if moment is not known:
        number = (moment - _EPOCH) // _MICROSECOND
        _Last.asked = (moment, number)
    return number


class _Last:
    """The moment that was asked for last. A datetime never changes, so it stays true."""

    asked = (_EPOCH, 0)
    shown = (_EPOCH, "1970-01-01T00:00:00Z")


def instant(microseconds: int) -> datetime:
    """Return the time that is `microseconds` after 1970 UTC."""
    return _EPOCH + microseconds * _MICROSECOND  # timedelta(0, 0, microseconds) takes 0.15 µs more


def show_time(moment: datetime) -> str:
    """Return `moment` in RFC 3339, in UTC."""
    # An entry has its moment three times, and a row of a list twice; to write it takes 0.6 µs.
    known, shown = _Last.shown
    if moment is not known:
        in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
        shown = in_utc.isoformat().removesuffix("+00:00") + "Z"
        _Last.shown = (moment, shown)
    return shown


# datetime.fromisoformat accepts more than RFC 3339: week dates, times without zones.
_RFC_3339 = r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})"


def parse_time(value: str, name: str) -> datetime:
    """Return the time that an RFC 3339 text names, cut to the microsecond.

    Raises InvalidCursorError.
    """
    if _compiled(_RFC_3339).fullmatch(value):
        try:
            return fields.moment(datetime.fromisoformat(value.upper()), name)
        except ValueError:
            pass
    said = f"{value!r:.60}"
    raise invalid(
        name, f"must be a time like 2026-05-05T16:00:01Z (RFC 3339), not {said}.", value=said
    )


def dumps(value: object) -> str:
    """Return `value`, of plain types, as JSON without white space and with non-ASCII kept."""
    return _encode(value)


def _encoder() -> Callable[[object], str]:
    """Return a JSON encoder that is made once.

    The library makes its C encoder anew for every value: 2.3 µs an entry instead of 1.2.
    """
    plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    encode = make(
        None, plain.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )
    return lambda value: "".join(encode(value, 0))


_encode = _encoder()


def loads(text: str | bytes) -> object:
    """Return the value of a JSON text; refuse all else, and an object that has a name twice.

    Raises InvalidCursorError.
    """
    try:
        value: object = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidCursorError(f"not JSON: {error}") from None
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError(f"{_twice(pairs)!r:.80} is in it twice")
    return values


def _twice(pairs: list[tuple[str, object]]) -> str:
    # Each name is looked at once, because a line of a megabyte has 100,000.
    seen = set[str]()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


# --- text that is shown: what is in the log was written by other programs ---

# C1 controls, and marks that reorder or hide text (Unicode TR 36, "Trojan Source"); JSON escapes
# the C0 controls itself. Lone surrogates come from bytes that are not UTF-8.
_HIDDEN = "\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
_INVISIBLE = f"[\0-\x1f{_HIDDEN}]"
_JSON_INVISIBLE = f"[{_HIDDEN}]"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # When it is first used, because that takes 0.3 ms, and most texts have nothing to escape.
    return re.compile(pattern, re.ASCII)


def visible(text: str) -> str:
    r"""Return `text` with control, escape and bidirectional characters escaped, like \x1b."""
    # None of what is escaped is printable; most texts are, and to know that takes a tenth.
    return text if text.isprintable() else _compiled(_INVISIBLE).sub(_escape, text)


def visible_json(text: str) -> str:
    """Return a JSON text with such characters escaped as JSON allows; its value is the same."""
    if text.isprintable():
        return text
    return _compiled(_JSON_INVISIBLE).sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    known = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    code = ord(found[0])
    return known.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
