"""Passwords in URLs, in names of data sources, and on command lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["commands", "data_sources", "user_info"]

_URL_RUN = re.compile(r"://[^\s\"'<>`“”]*+")
_PORT = re.compile(r"\d{1,5}(?:[/?#),;]|$)")
_HOST = re.compile(r"(?:[\w-]+\.)+[a-z][\w-]+|localhost|[\d.]+|[\w.-]*:\d|\[")
_AUTHORITY = re.compile(r"[^/?#]*+")
_USER = re.compile(r"[^/?#:@]*+")
_BARE_NAME = re.compile(r"[a-z][a-z._-]{0,15}$")


def user_info(_text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find passwords in URLs, and user info without a password where it is a token."""
    for run in _URL_RUN.finditer(low):
        done = run.start()
        end = run.end()
        start = low.find("://", done, end)
        last = low.rfind("@", start, end)
        while 0 <= start < last:
            follows = low.find("://", start + 3, end)
            place = _user_info_of(low, start, last, end)
            if place:
                yield place
                follows = low.find("://", place[1], end)
            start = follows


def _user_info_of(low: str, start: int, last: int, end: int) -> tuple[int, int] | None:
    """Return what is secret before an @ of the URL that begins here; `last` is its last @."""
    begin = start + 3
    user = _end(_USER, low, begin, end)
    authority = _end(_AUTHORITY, low, begin, end)
    at = low.rfind("@", begin, authority)
    web = low.endswith(("http", "https"), 0, start)
    if not low.startswith(":", user):
        alone = low[begin : max(at, begin)]
        # ssh://git@host names a user; https://…@host can only be a token.
        is_name = not web and (_BARE_NAME.match(alone) or len(alone) < 16)
        return None if not alone or is_name else (begin, at)
    password = user + 1
    if at < password:
        # Without an @ before the path, this is a port, or a password that contains a /.
        at = -1 if _PORT.match(low, password, end) else last
    elif not _HOST.match(low, at + 1, end):
        at = last
    if at == password or low.startswith("x-oauth-basic@", password):
        # A token in place of the user, with an empty password.
        return (begin, user) if web and user > begin else None
    return (password, at) if at > password else None


def _end(pattern: re.Pattern[str], low: str, begin: int, end: int) -> int:
    match = pattern.match(low, begin, end)
    return match.end() if match else begin


_GO = re.compile(r"""(?<![^\s"'])[^\s"':@]++:([^\s"']+)@(?:tcp|unix)\(""")
_ORACLE = re.compile(r""":thin:[^\s/@"']{1,64}+/([^\s@"']{1,256}+)@""")


def data_sources(_text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find the password of `user:password@tcp(host)` and of `:thin:user/password@host`."""
    for pattern in (_GO, _ORACLE):
        for match in pattern.finditer(low):
            yield match.span(1)


_COMMAND = re.compile(
    r"\b(?:mysql\w{0,16}|mariadb(?:-\w{1,16})?|sshpass|redis-cli|mongosh?|docker login|curl|wget)\b"
)
_SHORT_OPTION = re.compile(
    r"""(?<=\s)-(?:
        p\s?('[^']*+'?|"[^"]*+"?|[^\s'"-][^\s'"]*+)
      | a\s('[^']*+'?|"[^"]*+"?|[^\s'"-][^\s'"]*+)
      | -?u(?:ser)?[\s=]["']?[^\s:"']{1,128}:([^\s"']++)
    )""",
    re.VERBOSE,
)


def commands(_text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find the passwords that these commands take after an option of one letter."""
    done = 0
    for command in _COMMAND.finditer(low):
        if command.start() < done:
            continue
        line = low.find("\n", command.end())
        done = len(low) if line < 0 else line
        for match in _SHORT_OPTION.finditer(low, command.end(), done):
            group = match.lastindex or 0
            # curl -p and docker -p 80 are no passwords; mysql -p80 is one.
            spaced = group == 1 and low[match.start() + 2].isspace()
            is_port = spaced and match[1].isdigit()
            if not is_port and not (group == 1 and command[0] in {"curl", "wget"}):
                yield match.span(group)
