"""Secrets that are known by their name: `password=…`, `"token": "…"`, `Authorization: …`.

Every name with a separator behind it is looked at once, and every value is walked once, so the
cost grows with the length of the text and with nothing else. `ledger.masking` is the only caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from functools import lru_cache

__all__ = ["NAME_LITERALS", "Kind", "is_random", "kind_of", "named_values"]


LOOKS_MAX = 256
"""Names of secrets that are looked at. A text with more is hostile; all behind them is masked."""

_SHORT = 512
"""Characters of a value that are looked at to tell whether it is a secret."""


class Kind(Enum):
    """What a name says about its value."""

    SECRET = auto()
    TOKEN = auto()
    """A secret; but a short word behind a colon is prose: `invalid token: expired`."""
    RANDOM = auto()
    """A secret if the value looks random: `sig=…`, `key=…` in a query string."""
    HEADER = auto()
    """Authorization and cookies: the value reaches to the end of the line."""


# A name that has none of these in it names no secret.
NAME_LITERALS = tuple(
    "pass|pwd|pw|secret|token|credential|key|jwt|sig|auth|cookie|session|sessid|sid|code|assertion|"
    "saml|bearer|csrf|contraseña|kennwort|mot_de_passe|identified by".split("|")
)
_CORE = re.compile("|".join(NAME_LITERALS))

# The last letters of a word that make it a secret, however the rest of it begins: PGPASSWORD.
_SECRETS = tuple(
    "password|passwords|passwd|passphrase|passcode|passwort|kennwort|contraseña|pwd|secret|secrets|"
    "apikey|accesskey|secretkey|privatekey|authkey|accountkey|sharedkey|signingkey|encryptionkey|"
    "masterkey|passkey|sshkey|basicauth|sharedaccesssignature|jwt|dbpass|userpass|smtppass".split("|")
)
_TOKENS = ("token", "credential", "credentials")
_RANDOM = frozenset(
    "sig|signature|csrf|key|code|auth|session|sessionid|jsessionid|phpsessid|sid|ticket|assertion".split(
        "|"
    )
)
# Whose key, or whose pass, is a secret. A primary key and a routing key are none.
_OWNERS = frozenset(
    "api|access|secret|private|auth|account|shared|signing|encryption|master|session|license|"
    "subscription|functions|function|storage|deploy|hmac|webhook|admin|root|app|db|database|smtp|"
    "user|ftp|ssh|redis|mysql|pg|postgres|mail|proxy|ldap|mq|amqp|http|imap|apim".split("|")
)
# A name that ends so says something about a secret, and is none: token_count, secretName.
_HARMLESS_ENDS = frozenset(
    "count|counts|type|types|url|uri|endpoint|name|names|id|ids|expires|expiry|expiration|expired|at|"
    "in|ttl|age|length|len|size|limit|limits|usage|used|path|file|files|dir|policy|field|fields|"
    "header|headers|index|version|arn|ref|error|errors|status|valid|invalid|required|enabled|disabled|"
    "reset|manager|provider|class|rotation|strength|attempts|attempt|budget|bucket|ratio|rate|refresh|"
    "service|store|validator|hint|prompt|min|max|kind|format|mode|scope|scopes|issuer|audience|algorithm|"
    "authentication|auth|method|missing|failed|failure|review|exchange|request|response|cost|total|txt|json|yaml|yml|toml|ini|cfg|"
    "conf|env|log|html|xml|md|sql|py|java|go|rb|js|ts|rs|cs|php|cpp|c|h|kt|scala|ex|erl"
    .split("|")
)  # fmt: skip
# The tokens of pages and of language models.
_HARMLESS_TOKENS = frozenset(
    "next|page|continuation|sync|pagination|max|min|num|eos|bos|pad|unk|sep|stop|start|end|"
    "cancellation|unexpected|first|last|lookahead|per".split("|")
)
# Behind a name and a colon these begin a sentence: password: must have eight characters.
_STATUS = frozenset(
    "a|an|and|are|authentication|based|be|cannot|challenge|changed|could|denied|does|empty|error|"
    "exceeded|expected|expired|failed|failure|false|for|format|forbidden|from|had|has|header|if|in|"
    "incorrect|invalid|is|it|mismatch|missing|must|needs|nil|no|none|not|null|of|ok|on|only|optional|"
    "or|please|redacted|refused|rejected|request|requests|required|requires|revoked|scheme|set|should|"
    "string|success|that|the|this|to|too|true|undefined|unexpected|unknown|unset|unsupported|valid|"
    "was|were|which|will|with|wrong|you|your|yes|hidden|masked|absent|unavailable".split("|")
)

# The run of a name is taken whole and never given back, so it is walked once.
_PAIR = re.compile(
    r"""(?<![\w.-])([\w.-]++)                            # the name
        (?:
          (?:\\{0,8}["'`”’»]|\]|%5d|%22|&quot;){0,2}\s{0,8}\\?(?:=>|:=|==?|:|：|＝|%3d|%3a)  # name: "name" = user[name]=
        | \\{0,8}["'],\s{0,8}(?=b?\\{0,8}["'])(?!["']value["'])  # ("name", "value")
        | ["']\s{1,8}value\s{0,8}=                         # name="password" value="…"
        | "\s{0,8}?\r?\n\r?\n                              # a form in parts
        )[^\S\n]{0,64}
        (?:[|>][+-]?[^\S\n]{0,8}\n\s{1,64}|(?<=:)\n[ ]{2,64}(?![\w.-]{1,64}:))?  # the block of YAML
    """,
    re.VERBOSE,
)
# Names whose values stand elsewhere than behind a separator. Each name is the first group.
_OPTION = re.compile(r"(?<![\w-])--?([\w-]++)[^\S\n]{1,8}(?=[^\s=:|-])")
_TAG = re.compile(
    r"""<(?:[\w.-]{1,32}:)?(?:(?:entry|property|string|item|param|add)\s[^<>]{0,64}?(?:name|key)=["'])?
    ([\w.-]{1,128}+)(?:[\s"'][^<>]{0,256})?>(?=[^<])""",
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
_ESCAPED_QUOTE = re.compile(r"""\\{1,8}["']""")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_SINGLE = re.compile(r"""'(?:[^'\\]|\\.|''(?=[^\s,;)}\]]))*+'?""", re.DOTALL)
_CURLY = {"“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "‹": "›", "「": "」", "`": "`"}
# What ends a word may also be a part of a password: a comma ends it before a space or a name.
_WORD = re.compile(
    r"""(?:
          [^\s"'`&,;)}\]<>\\“”]
        | [&,;](?!\s|$|amp;|[\w.%-]{1,40}\s?[=:])
        | [)}\]](?![\s.,;:)}\]"'&]|$)
        | ["'`](?=\w)
        | \\(?!["'])
        | [<>](?![\s/"'a-z]|$)
        )++""",
    re.VERBOSE,
)
_LINE = re.compile(r"(?:[^\r\n\\]++|\\(?!r?\\n|n|r))*+")
_CREDENTIAL = re.compile(r"[^\s\"'<>]*+")
_PART = re.compile(r"""[^;\r\n"']*+""")
_SCHEME = re.compile(r"([a-z][\w-]{0,40})(?:\s{1,8}|%20)(?=\S)")
_ONE_WORD = frozenset("bearer|basic|negotiate|ntlm|token|apikey|api-key|key|jwt|kerberos".split("|"))
_CODE = re.compile(
    r"(?:self|cls|os|settings|config|request|req|args|kwargs|options|opts|env|environ|params|app)"
    r"[.\[(]|getenv|getpass|\$\{|\{\{|<[a-z_ -]{1,40}>$|%\(?[a-z]|\{[a-z_]{0,40}\}$|[?]$|[$]\d$"
)
_PLAIN_NUMBER = re.compile(r"[\d.,_]{1,6}(?:ms|s|kb|mb|%)?$")
_RUN = re.compile(r"[a-z0-9]{16}")
_DIGIT = re.compile("[0-9]")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")
_BEGINS_LINE = re.compile(r"(?:^|[\n>|<]|\\n)[ \t>*-]{0,64}$")


def named_values(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Yield where the values are in `text` whose names say that they are secret.

    `low` is `text` in lower case, and as long.
    """
    ends = _Ends(low)
    done = looks = 0
    for match in _PAIR.finditer(low):
        start, after = match.span(1)
        if start < done or not _CORE.search(low, start, after):
            continue
        looks += 1
        if looks > LOOKS_MAX:
            yield start, len(text)
            return
        kind = kind_of(text[max(start, after - 128) : after])
        kind = _in_its_place(low, start, after, kind)
        if kind is None:
            continue
        found = _value(text, low, match, kind, ends)
        if found and found[0] < found[1]:
            done = found[1]
            yield found
    for pattern in (_OPTION, _TAG, _NAME_VALUE, _STATEMENT, _LOGIN, _BESIDE):
        done = 0
        for match in pattern.finditer(low):
            name = text[match.start(1) : match.end(1)][-128:]
            name = "password" if name.lower() == "identified by" else name
            if match.start() < done or not _CORE.search(name.lower()):
                continue
            looks += 1
            if looks > LOOKS_MAX:
                yield match.end(), len(text)
                return
            if kind_of(name) not in {Kind.SECRET, Kind.TOKEN}:
                continue
            begin = match.end()
            if pattern is _TAG:
                end = low.find("<", begin)
                end = len(low) if end < 0 else end
            else:
                begin, end = _quoted(low, begin) or (begin, ends.of(_WORD, begin))
            value = text[begin : min(end, begin + _SHORT)]
            if pattern is _BESIDE and not is_random(value):
                continue
            if value.lower() not in _STATUS and not _is_no_secret(value.lower(), name.lower()):
                done = end
                yield begin, end


class _Ends:
    """Where words and lines end; what begins within the last one is not walked again."""

    def __init__(self, low: str) -> None:
        self.low = low
        self.last: dict[re.Pattern[str], tuple[int, int]] = {}

    def of(self, pattern: re.Pattern[str], begin: int) -> int:
        start, end = self.last.get(pattern, (0, 0))
        if not start <= begin < end:
            match = pattern.match(self.low, begin)
            end = match.end() if match else begin
            self.last[pattern] = begin, end
        return end


@lru_cache(maxsize=512)
def kind_of(name: str) -> Kind | None:
    """Return what `name` says about its value, or None if it says nothing."""
    words = [word for word in _BETWEEN.split(_HUMP.sub("_", name).lower()) if word]
    bare = [word.rstrip("0123456789") or word for word in words if not word.isdigit()]
    joined = "".join(bare)
    if joined.endswith("basicauth"):
        return Kind.TOKEN
    if joined.endswith(("authorization", "cookie")):
        return Kind.HEADER
    if joined.endswith(
        ("sharedaccesskey", "sharedaccesssignature", "codeverifier", "motdepasse", "samlresponse")
    ):
        return Kind.SECRET
    if not bare or (bare[-1] in _HARMLESS_ENDS and len(bare) > 1):
        return None
    for before, word in zip(["", *bare], bare, strict=False):
        if word.endswith(_SECRETS) or (word in {"key", "keys", "pass", "pw"} and before in _OWNERS):
            return Kind.SECRET
        if word.endswith(_TOKENS) and before not in _HARMLESS_TOKENS:
            return Kind.TOKEN
    if joined in {"pass", "pw", "bearer"}:
        return Kind.TOKEN
    if bare[-1] in _RANDOM and (len(bare) == 1 or bare[-1] not in {"key", "code"}):
        return Kind.RANDOM
    return None


def is_random(value: str) -> bool:
    """Say whether `value` looks as if a machine had drawn it, and is no UUID."""
    value = value[:96]
    if len(value) < 16 or value.isdigit():
        return False
    low = value.lower()
    digits = len(_DIGIT.findall(low))
    if not digits or _UUID.match(low):
        return False
    if _RUN.search(low):
        return True
    mixed = value != low and value != value.upper()
    return len(low) >= 24 and digits >= 3 and mixed and " " not in low


def _in_its_place(low: str, start: int, after: int, kind: Kind | None) -> Kind | None:
    """Look at what stands before a name: `unexpected token:`, `API key:`, `?key=`."""
    name = low[start:after]
    before = low[max(0, start - 16) : start]
    # A path to a file, or the name of a resource at Amazon: no value follows.
    if before.endswith("/") and low.startswith(": ", after):
        return None
    if name == "secret" and before[-1:] == ":" and before[-2:-1].isdigit():
        return None
    if kind is Kind.RANDOM and name.endswith("auth") and low.startswith("=(", after):
        return Kind.SECRET
    if kind is Kind.TOKEN and name == "token" and before.endswith(("unexpected ", "illegal ")):
        return None
    if name == "key" and before.endswith(
        ("api ", "access ", "secret ", "private ", "account ", "auth ", "master ", "encryption ")
    ):
        return Kind.SECRET
    if kind is Kind.RANDOM and name in {"key", "code"} and not before.endswith(("?", "&", "&amp;")):
        return None
    return kind


def _value(
    text: str, low: str, match: re.Match[str], kind: Kind, ends: _Ends
) -> tuple[int, int] | None:
    name_start, name_end = match.span(1)
    begin = match.end()
    name, between = low[name_start:name_end], low[name_end:begin]
    if "," in between and low[name_start - 1 : name_start] not in {"'", '"'}:
        return None
    if kind is Kind.HEADER:
        return _header(low, match, ends)
    quoted = _quoted(low, begin)
    colon = ":" in between or "：" in between
    bare = '"' not in between and "'" not in between
    if quoted:
        begin, end = quoted
        if "," in between and low.startswith((":", " :"), end):
            return None
    elif low.startswith(("[", "("), begin):
        end = low.find("]" if low[begin] == "[" else ")", begin)
        if end < 0 or end - begin < 4:
            return None
        end += 1
    elif low.startswith("{", begin):
        return None
    elif _after_semicolon(low, name_start) and not colon:
        end = ends.of(_PART, begin)
    else:
        end = ends.of(_WORD, begin)
        if colon and bare and low[begin : min(end, begin + 40)].strip(".,;:!?()'\"") in _STATUS:
            return None
        # On a line that begins with its name, as in YAML, the value goes on to the end of it.
        if colon and bare and kind is not Kind.RANDOM and _begins_line(low, name_start):
            stop = ends.of(_LINE, begin)
            signs = [at for sign in (", ", "; ") if (at := low.find(sign, end, stop)) >= 0]
            end = min([stop, *signs])
    # Whatever is longer is neither a placeholder nor prose.
    value = text[begin : min(end, begin + _SHORT)]
    if kind is Kind.RANDOM:
        return (begin, end) if is_random(value.strip("\"'")) else None
    if kind is Kind.TOKEN and colon and bare and not quoted and _is_prose(value):
        return None
    return None if _is_no_secret(value.lower(), name) else (begin, end)


def _header(low: str, match: re.Match[str], ends: _Ends) -> tuple[int, int] | None:
    """Find what of an Authorization or a cookie is the secret; the scheme may stay."""
    start, begin = match.start(1), match.end()
    quote = low[start - 1 : start]
    around = quote in {'"', "'"} and not low.startswith(quote, match.end(1))
    quoted = _quoted(low, begin)
    if quoted:
        begin, end = quoted
        opening = _ESCAPED_QUOTE.match(low, begin)
        inner = opening.end() if opening else begin + 1
    elif low.startswith(("[", "{"), begin):
        end = low.find("]" if low[begin] == "[" else "}", begin)
        return (begin, len(low) if end < 0 else end + 1)
    else:
        end = ends.of(_LINE, begin)
        if around and (closing := low.find(quote, begin, end)) >= 0:
            end = closing
        inner = begin
    said = low[inner : min(end, inner + _SHORT)].strip(" \t\"'\\.,;:!?()")
    first = said.split(" ", 1)[0]
    if said.strip("*…") in {"", ",", *_ONE_WORD} or first.strip(".,;:!?") in _STATUS:
        return None
    scheme = _SCHEME.match(low, inner)
    if scheme and scheme.end() < end and "cookie" not in match[1]:
        begin = scheme.end()
        if not quoted and scheme[1] in _ONE_WORD:
            stop = ends.of(_CREDENTIAL, begin)
            if '="' not in low[begin : stop + 1]:
                end = min(end, stop)
                while end > begin and low[end - 1] in ",;).]}":
                    end -= 1
        elif quoted:
            while end > begin and low[end - 1] in "\"'\\":
                end -= 1
        if low[begin : min(end, begin + _SHORT)].strip("*…\"' ,") == "":
            return None
    return begin, end


def _quoted(low: str, begin: int) -> tuple[int, int] | None:
    """Return where the quoted text is that begins here; without its end it goes on to the line's."""
    at = begin
    if low.startswith(("b'", 'b"', "r'", 'r"', "u'", 'u"', "@\"", "n'"), at):
        at += 1
    first = low[at : at + 1]
    if first in {'"', "'"}:
        match = (_DOUBLE if first == '"' else _SINGLE).match(low, at)
        end = match.end()  # type: ignore[union-attr]
        if end - at < 2 or low[end - 1] != first:
            line = low.find("\n", at)
            end = len(low) if line < 0 else line
        return begin, end
    if first == "\\" and (mark := _ESCAPED_QUOTE.match(low, at)):
        at = mark.end()
        while (closing := low.find(mark[0], at)) >= 0 and low[closing - 1] == "\\":
            at = closing + len(mark[0])
        return begin, len(low) if closing < 0 else closing + len(mark[0])
    if first in _CURLY:
        ends = [end for sign in _CURLY[first] if (end := low.find(sign, at + 1)) >= 0]
        return begin, min(ends) + 1 if ends else len(low)
    return None


def _after_semicolon(low: str, start: int) -> bool:
    """Say whether the pair before this name ended in a semicolon: Server=…;Password=…."""
    before = low[max(0, start - 256) : start].rstrip(" ")
    if not before.endswith(";"):
        return False
    pair = before[:-1].rpartition(";")[2]
    return "=" in pair and "\n" not in pair


def _begins_line(low: str, start: int) -> bool:
    return bool(_BEGINS_LINE.search(low, max(0, start - 66), start)) and (
        start < 66 or "\n" in low[start - 66 : start]
    )


def _is_prose(value: str) -> bool:
    return len(value) < 16 and (value.isalpha() and value in {value.lower(), value.capitalize()})


def _is_no_secret(value: str, name: str) -> bool:
    """Say whether a value in lower case is empty, masked, a placeholder, code, or another name."""
    inner = value.strip("\"'\\` \t“”‘’«»[]()<>")
    if not inner.strip("*…•x.") or inner in {"null", "none", "nil", "undefined", "true", "false", "redacted", "filtered"}:
        return True
    if len(inner) <= 2 and not inner.isalnum():
        return True
    if inner == name or kind_of(inner) and inner.replace("_", "").isalpha() and inner in name:
        return True
    if name.endswith("pwd") and re.match(r"(?:/|~|[a-z]:\\)[\w./\\ -]*$", inner):
        return True
    if not value.startswith(("'", '"', "\\")) and (_CODE.match(inner) or inner in _CODE_NAMES):
        return True
    return bool(_PLAIN_NUMBER.match(inner)) and kind_of(name) is Kind.TOKEN and name != "token"


_CODE_NAMES = frozenset(
    "password|passwd|token|secret|api_key|apikey|pwd|access_token|client_secret|credentials".split("|")
)
