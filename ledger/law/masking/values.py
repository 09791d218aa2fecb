"""Secrets that are recognised by their name: `password=…`, `"token": "…"`, `Authorization: …`.

Every name is checked once and every value is scanned once, so the cost depends only on the length
of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ledger.law.masking.names import (
    LITERALS,
    SHORT,
    Kind,
    begins_prose,
    is_no_secret,
    is_random,
    kind_of,
)
from ledger.law.masking.spans import Ends, quoted, word

__all__ = ["named_values"]

LOOKS_MAX = 256
"""Names of secrets that are checked. A text with more is hostile; the rest of it is masked."""

_CORE = re.compile("|".join(LITERALS))
# The run of a name is possessive, so it is scanned once.
_PAIR = re.compile(
    r"""(?<![\w.-])([\w.-]++)  # the name
        (?:
          (?:\\{0,8}["'`”’»]|\]|%5d|%22|&quot;){0,2}\s{0,8}\\?
            (?:=>|:=|==?|:|：|＝|%3d|%3a)                     # name: "name" = user[name]=
        | \\{0,8}["'],\s{0,8}(?=b?\\{0,8}["'])(?!["']value["'])  # ("name", "value")
        | ["']\s{1,8}value\s{0,8}=  # name="password" value="…"
        | "\s{0,8}?\r?\n\r?\n  # a form in parts
        )[^\S\n]{0,64}
        (?:[|>][+-]?[^\S\n]{0,8}\n\s{1,64}|(?<=:)\n[ ]{2,64}(?![\w.-]{1,64}:))?  # the block of YAML
    """,
    re.VERBOSE,
)
# Names whose values do not follow a separator. The name is the first group.
_OPTION = re.compile(r"(?<![\w-])--?([\w-]++)[^\S\n]{1,8}(?=[^\s=:|-])")
_TAG = re.compile(
    r"""<(?:[\w.-]{1,32}:)?
    (?:(?:entry|property|string|item|param|add)\s[^<>]{0,64}?(?:name|key)=["'])?
    ([\w.-]{1,128}+)(?:[\s"'][^<>]{0,256})?>(?:\s{0,8}<!\[cdata\[)?(?=[^<])""",
    re.VERBOSE,
)
_NAME_VALUE = re.compile(
    r"""\b(?:name|key)[\\"']{0,4}\s{0,8}[:=]\s{0,8}[\\"']{0,4}([\w.-]{1,128}+)[\\"']{0,4}
    \s{0,8},?\s{0,64}[\\"']{0,4}value[\\"']{0,4}\s{0,8}[:=]\s{0,8}(?=\S)""",
    re.VERBOSE,
)
_STATEMENT = re.compile(r"""\b(password|passwd|identified by)[^\S\n]{1,8}(?=['"])""")
_LOGIN = re.compile(r"\blogin\s{1,8}\S{1,256}\s{1,8}(password)\s{1,8}(?=\S)")
_BESIDE = re.compile(r"(?<![\w.-])([\w.-]++)[ ]{1,4}(?=[\w+/=~-]{16})")
_BRACED = re.compile(r"\{(?:[^{}\r\n]++|\}\}|\{)*+(?:\}|(?=[\r\n])|$)")
_PART = re.compile(r"""[^;\r\n"']*+""")
_CREDENTIAL = re.compile(r"[^\s\"'<>]*+")
_LINE = re.compile(r"(?:[^\r\n\\]++|\\(?!r?\\n|n|r))*+")
_SCHEME = re.compile(r"([a-z][\w-]{0,40})(?:\s{1,8}|%20)(?=\S)")
_BEGINS_LINE = re.compile(r"(?:^|\n|\\n)[ \t<>*|-]{0,64}$")
_WORD_SCHEMES = frozenset(
    ("bearer", "basic", "negotiate", "ntlm", "token", "apikey", "api-key", "key", "jwt", "kerberos")
)
_KEYS_OF = ("api ", "access ", "secret ", "private ", "account ", "auth ", "master ", "encryption ")


def named_values(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Yield the places of values in `text` whose names say that they are secret.

    `low` is `text` in lower case, of the same length.
    """
    ends = Ends(low)
    looks = 0
    for find in (_pairs, _others):
        for begin, end in find(text, low, ends):
            looks += 1
            if looks > LOOKS_MAX:
                yield begin, len(text)
                break
            if begin < end:
                yield begin, end


def _pairs(text: str, low: str, ends: Ends) -> Iterator[tuple[int, int]]:
    """Yield the place of the value of each secret name; an empty one if the value is no secret."""
    done = 0
    for match in _PAIR.finditer(low):
        start, after = match.span(1)
        if start < done or not _CORE.search(low, start, after):
            continue
        kind = kind_of(text[max(start, after - 128) : after])
        kind = _in_its_place(low, start, after, kind)
        begin, end = (_value(text, low, match, kind, ends) if kind else None) or (start, start)
        done = max(done, end)
        yield begin, end


def _others(text: str, low: str, ends: Ends) -> Iterator[tuple[int, int]]:
    """Yield the places of values that do not follow a separator."""
    for pattern in (_OPTION, _TAG, _NAME_VALUE, _STATEMENT, _LOGIN, _BESIDE):
        done = 0
        for match in pattern.finditer(low):
            name = text[match.start(1) : match.end(1)][-128:]
            if match.start() < done or not _CORE.search(name.lower()):
                continue
            kind = Kind.SECRET if pattern is _STATEMENT else kind_of(name)
            begin = end = match.end()
            if kind in {Kind.SECRET, Kind.TOKEN}:
                begin, end = _beside(low, begin, ends, tag=pattern is _TAG)
                value = text[begin : min(end, begin + SHORT)]
                plain = begins_prose(value.lower()) or is_no_secret(value.lower(), name.lower())
                if plain or (pattern is _BESIDE and not is_random(value)):
                    end = begin
            done = max(done, end)
            yield begin, end


def _beside(low: str, begin: int, ends: Ends, *, tag: bool) -> tuple[int, int]:
    if tag:
        end = low.find("]]>" if low.startswith("<![cdata[", begin - 9) else "<", begin)
        return begin, len(low) if end < 0 else end
    return quoted(low, begin) or (begin, word(ends, begin))


def _in_its_place(low: str, start: int, after: int, kind: Kind | None) -> Kind | None:
    """Correct `kind` by what precedes the name: `unexpected token:`, `API key:`, `?key=`."""
    name = low[start:after]
    before = low[max(0, start - 16) : start]
    # A path to a file, or the name of a resource at Amazon: no value follows.
    if before.endswith("/") and low.startswith(": ", after):
        return None
    if name == "secret" and before[-1:] == ":" and before[-2:-1].isdigit():
        return None
    if name == "token" and before.endswith(("unexpected ", "illegal ")):
        return None
    if name == "key" and before.endswith(_KEYS_OF):
        return Kind.SECRET
    if kind is Kind.RANDOM and name.endswith("auth") and low.startswith("=(", after):
        return Kind.SECRET
    in_query = before.endswith(("?", "&", "&amp;"))
    return None if name in {"key", "code"} and not in_query else kind


def _value(
    text: str, low: str, match: re.Match[str], kind: Kind, ends: Ends
) -> tuple[int, int] | None:
    start, after = match.span(1)
    begin = match.end()
    between = low[after:begin]
    if "," in between and not _is_pair(low, start, begin, kind):
        return None
    if kind is Kind.HEADER:
        return _header(low, match, ends)
    place = quoted(low, begin)
    if place:
        return _judged(text, low, match, kind, place)
    # A name without quotes, followed by a colon, may also be prose.
    loose = (":" in between or "：" in between) and '"' not in between and "'" not in between
    if loose and begins_prose(low[begin : min(ends.of(_CREDENTIAL, begin), begin + 40)]):
        return None
    if loose and kind is Kind.TOKEN and _is_word(text[begin : min(word(ends, begin), begin + 16)]):
        return None
    place = _unquoted(low, start, begin, ends, loose=loose and kind is not Kind.RANDOM)
    return _judged(text, low, match, kind, place) if place else None


def _judged(
    text: str, low: str, match: re.Match[str], kind: Kind, place: tuple[int, int]
) -> tuple[int, int] | None:
    """Return `place` if its text can be a secret."""
    # A longer text is neither a placeholder nor another name.
    value = text[place[0] : min(place[1], place[0] + SHORT)]
    if kind is Kind.RANDOM:
        return place if is_random(value.strip("\"'")) else None
    return None if is_no_secret(value.lower(), low[slice(*match.span(1))], kind) else place


def _unquoted(
    low: str, start: int, begin: int, ends: Ends, *, loose: bool
) -> tuple[int, int] | None:
    first = low[begin : begin + 1]
    if first == "{":
        return _braced(low, begin) if _after_semicolon(low, start) else None
    if first in {"[", "("}:
        end = low.find("]" if first == "[" else ")", begin)
        return (begin, end + 1) if end - begin >= 4 else None
    if not loose and _after_semicolon(low, start):
        return begin, ends.of(_PART, begin)
    end = word(ends, begin)
    # On a line that begins with its name, as in YAML, the value extends to the end of the line.
    if loose and _BEGINS_LINE.search(low, max(0, start - 66), start):
        stop = ends.of(_LINE, begin)
        signs = [at for sign in (", ", "; ") if (at := low.find(sign, end, stop)) >= 0]
        end = min([stop, *signs])
    return begin, end


def _braced(low: str, begin: int) -> tuple[int, int] | None:
    """Return the place of a value as ODBC has it, {…}, with each } in it written twice."""
    found = _BRACED.match(low, begin)
    return found.span() if found else None


def _header(low: str, match: re.Match[str], ends: Ends) -> tuple[int, int] | None:
    """Return the place of the secret in an Authorization header or a cookie, without the scheme."""
    begin, end, inner = _header_value(low, match, ends)
    said = low[inner : min(end, inner + SHORT)].strip(" \t\"'\\.,;:!?()")
    if said.strip("*…") in {"", *_WORD_SCHEMES} or begins_prose(said.split(" ", 1)[0]):
        return None
    scheme = _SCHEME.match(low, inner)
    if not scheme or scheme.end() >= end or "cookie" in match[1]:
        return begin, end
    is_quoted = inner > begin
    begin = scheme.end()
    if is_quoted:
        while end > begin and low[end - 1] in "\"'\\":
            end -= 1
    elif scheme[1] in _WORD_SCHEMES:
        stop = ends.of(_CREDENTIAL, begin)
        if '="' not in low[begin : min(stop, begin + SHORT) + 1]:
            end = min(end, stop)
            while end > begin and low[end - 1] in ",;).]}":
                end -= 1
    return (begin, end) if low[begin : min(end, begin + SHORT)].strip("*…\"' ,") else None


def _header_value(low: str, match: re.Match[str], ends: Ends) -> tuple[int, int, int]:
    """Return where the value of a header begins, ends, and begins within its quotes."""
    start, begin = match.start(1), match.end()
    if place := quoted(low, begin):
        inner = begin + low.startswith(("b'", 'b"'), begin)
        while inner < place[1] and low[inner] in "\\\"'":
            inner += 1
        return *place, max(inner, begin + 1)
    if low.startswith(("[", "{"), begin):
        end = low.find("]" if low[begin] == "[" else "}", begin)
        return begin, len(low) if end < 0 else end + 1, begin
    end = ends.of(_LINE, begin)
    # A whole header in quotes, as curl takes it, ends with them.
    quote = low[start - 1 : start]
    if quote in {'"', "'"} and not low.startswith(quote, match.end(1)):
        closing = low.find(quote, begin, end)
        end = end if closing < 0 else closing
    return begin, end, begin


def _is_pair(low: str, start: int, begin: int, kind: Kind) -> bool:
    """Distinguish ("name", "value") and ["--name", "value"] from a list of other texts.

    Of a header, as JSON and ASGI have them, also ["name", "value"] if that has more than one word.
    """
    before = low[max(0, start - 6) : start].rstrip("\\")
    place = quoted(low, begin)
    if before[-1:] not in {"'", '"'} or not place:
        return False
    opened = before[:-1].rstrip("b\\")[-1:]
    closed = low[place[1] : place[1] + 1]
    if kind is Kind.HEADER and (opened, closed) == ("[", "]"):
        return " " in low[slice(*place)] or "=" in low[slice(*place)]
    return low.startswith("-", start) or (opened, closed) == ("(", ")")


def _after_semicolon(low: str, start: int) -> bool:
    """Return whether the pair before this name ended in a semicolon: Server=…;Password=…."""
    before = low[max(0, start - 256) : start].rstrip(" ")
    pair = before[:-1].rpartition(";")[2]
    return before.endswith(";") and "=" in pair and "\n" not in pair


def _is_word(value: str) -> bool:
    return len(value) < 16 and value.isalpha() and value in {value.lower(), value.capitalize()}
