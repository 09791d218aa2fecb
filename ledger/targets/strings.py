"""Connection strings: how one is told from a path, and what in it is secret."""

from __future__ import annotations

import re

from ledger.targets import is_postgres

__all__ = ["looks_like", "masked"]

# A target that begins like this is a path.
_PATH = ("/", "./", "../")

# Schemes of databases are recognised in front of anything, all others only with `://`.
_SCHEME = re.compile(
    r"(postgres(ql)?|pgsql|psql|pg|jdbc|odbc|ado|mysql|mariadb|sqlite3?|file|mssql|sqlserver|oracle|"
    r"redshift|cockroach(db)?|timescale(db)?|mongodb|rediss?|https?)(\+\w+)*:",
    re.IGNORECASE,
)
# The keywords of libpq in a connection string (`PQconndefaults` of PostgreSQL 18), and the names
# that other drivers have for them.
_KEYWORD = re.compile(
    r"(?:^|[\s;&?,])(application_name|channel_binding|client_encoding|connect_timeout|"
    r"dbname|fallback_application_name|gssdelegation|gssencmode|gsslib|host|hostaddr|"
    r"keepalives(?:_\w+)?|krbsrvname|load_balance_hosts|m(?:ax|in)_protocol_version|oauth_\w+|"
    r"options|passfile|password|port|replication|require_auth|requirepeer|requiressl|"
    r"scram_\w+_key|service|servicefile|ssl\w+|"
    r"target_session_attrs|tcp_user_timeout|tty|authtype|user|"
    r"pass|passwd|passphrase|pwd|uid|username|user\s+id|data\s+source)\s*=",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"^/{0,2}[^\s/:@]+:[^\s@]*@[^\s@]")
_KINDS = (
    (_KEYWORD, "a connection string of names and values"),
    (_USER_INFO, "user, password and host"),
    # A URL with a slip in it: postgresql//user:password@host.
    (re.compile(r"//[^\s/:@]*:[^\s@]*@[^\s@]"), "user, password and host"),
)

# What masks secrets looks at each character a few times only, because a refusal may repeat what is
# very long. Names, and what they may be within, are runs that do not overlap.
_SEGMENT = re.compile(r"""[^'"\n]+""")
_RUN = re.compile(r"\w+")
_POSTGRES = re.compile("postgres", re.IGNORECASE)
_POSTGRES_END = re.compile(r"(?:\+\w+)?:/{0,2}")
_WORD = re.compile(r"\S+")
_AUTHORITY = re.compile(":/{0,2}|//")
_MASKED_USER = re.compile(r"""([^\s/:@'"(]+)(:\*\*\*@)?""")
_SECRET_NAME = re.compile(r"pass|(?:pwd|secret|_key)\Z", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"""(\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|"[^"]*"?|[^\s;&'"]+)""")


def looks_like(path: str) -> str | None:
    """Return the kind of connection string that `path` seems to be, or None if it is a path."""
    text = path.strip()
    if is_postgres(text):
        return "a URL with white space around it"
    if found := _SCHEME.match(text):
        return f"a URL of {found[0].rstrip(':').lower()!r}"
    if "://" in text:
        return "a URL"
    says_so = path.startswith(_PATH) and not path.startswith("//")
    for pattern, kind in () if says_so else _KINDS:
        if pattern.search(text):
            return kind
    return None


def masked(target: str) -> str:
    """Return `target` for a message, with user info and passwords masked.

    The time that it takes grows with the length, and no faster.
    """
    target = _SEGMENT.sub(lambda found: _without_database_user(found[0]), target)
    target = _WORD.sub(lambda found: _without_user(found[0]), target)
    target = _MASKED_USER.sub(lambda found: found[2][1:] if found[2] else found[1], target)
    return _without_values(target)


def _without_database_user(segment: str) -> str:
    """Mask what follows postgres: up to the last @, because a password may have one, and spaces."""
    last = segment.rfind("@")
    for run in _RUN.finditer(segment, 0, last + 1):
        if _POSTGRES.search(run[0]) and (end := _POSTGRES_END.match(segment, run.end())):
            return _starred(segment, end.end(), last)
    return segment


def _without_user(word: str) -> str:
    """Mask what follows the first colon or // up to the last @ of the word."""
    last = word.rfind("@")
    found = _AUTHORITY.search(word, 0, last + 1)
    return _starred(word, found.end(), last) if found else word


def _starred(text: str, start: int, last: int) -> str:
    return f"{text[:start]}***{text[last:]}" if start <= last else text


def _without_values(text: str) -> str:
    """Mask the value of each name that is one of a secret."""
    parts: list[str] = []
    done = 0
    for name in _RUN.finditer(text):
        # What looks like a name within a value was masked with it.
        if name.start() >= done and _SECRET_NAME.search(name[0]):
            value = _SECRET_VALUE.match(text, name.end())
            if value is not None:
                parts += (text[done : value.end(1)], "***")
                done = value.end()
    return "".join((*parts, text[done:]))
