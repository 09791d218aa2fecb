"""Secrets in texts that are kept for ever: what is recognised, and how it is masked.

`RULES` is the whole list; docs/masking.md explains it and is compared with it by a test. A rule
runs only if one of its literals is in the text. It walks the text once: repeats are bounded, or
never given back, so the cost grows with the length of the text. Only the beginning of a long text
is looked at, for only 2,048 characters of it are kept.

This module is imported when the first error is recorded, because its patterns take a while.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

import attrs

from ledger.named_values import NAME_LITERALS, named_values

__all__ = ["MASK", "RULES", "Rule", "masked"]

MASK = "***"
WINDOW = 6_144
"""Characters of a text that are looked at."""
MARGIN = 2_048
"""Characters at the end of a longer text that only show how what is before them goes on."""


@attrs.frozen
class Rule:
    """One line of the list: what it is called, what it recognises, and how it finds it."""

    name: str
    recognises: str
    literals: tuple[str, ...]
    """In lower case; a text without any of them is not searched."""
    find: Callable[[str, str], Iterator[tuple[int, int]]]
    """Gives the places of secrets in a text, which it also gets in lower case."""


def masked(text: str, length_max: int) -> str:
    """Return `text` with secrets as `***`, cut to `length_max` characters that end in "…".

    Masking what it returns changes nothing.
    """
    kept = _masked_once(text, length_max)
    if kept is text:
        return text
    # What was cut or masked may read as another secret: look again until nothing changes.
    for _ in range(8):
        again = _masked_once(kept, length_max)
        if again == kept:
            break
        kept = again
    return kept


def _masked_once(text: str, length_max: int) -> str:
    window = text[:WINDOW]
    places = _places(window)
    if not places and len(text) <= length_max:
        return text
    limit = len(window) if len(text) <= WINDOW else _settled(window)
    parts, at = [], 0
    for begin, end in places:
        if begin >= limit:
            break
        parts += (window[at:begin], MASK)
        at = end
    parts.append(window[at:limit])
    kept = "".join(parts)
    if len(kept) > length_max or len(text) > WINDOW:
        kept = kept[: length_max - 1].rstrip() + "…"
    return kept


def _places(text: str) -> list[tuple[int, int]]:
    """Return where the secrets are, in order and without overlaps."""
    # One letter alone grows when it is made small, and would move all that follows.
    low = text.replace("İ", "i").lower()
    found = [
        place
        for rule in RULES
        if any(literal in low for literal in rule.literals)
        for place in rule.find(text, low)
        if text[place[0] : place[1]].strip("*…")
    ]
    found.sort()
    merged: list[tuple[int, int]] = []
    for begin, end in found:
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return merged


def _settled(window: str) -> int:
    """Return how far into a window of a longer text nothing behind its end can matter.

    User info ends in an @ and a JWT has dots. Where neither the end of such a run nor its @ or dot
    is within the margin, it is not shown.
    """
    limit = WINDOW - MARGIN
    if re.search(r"[\s\"'<>]", window[limit:]):
        return limit
    run = re.search(r"[^\s\"'<>]*\Z", window[:limit])
    begins = run.start() if run else limit
    starts = [at + 3 for sign in ("://", "eyJ") if (at := window.find(sign, begins, limit)) >= 0]
    return min([limit, *starts])


# --- how each rule finds its secrets ---


def _in(
    pattern: str, *, low: bool = False, when: Callable[[str], bool] | None = None
) -> Callable[[str, str], Iterator[tuple[int, int]]]:
    """Make the search for a pattern; the secret is its group, or all of it."""
    compiled = re.compile(pattern, re.ASCII | re.VERBOSE)

    def find(text: str, lowered: str) -> Iterator[tuple[int, int]]:
        for match in compiled.finditer(lowered if low else text):
            begin, end = match.span(match.lastindex or 0)
            if when is None or when(text[begin:end]):
                yield begin, end

    return find


_URL_RUN = re.compile(r"://[^\s\"'<>`“”]*+")
_PORT = re.compile(r"\d{1,5}(?:[/?#),;]|$)")
_HOST = re.compile(r"(?:[\w-]+\.)+[a-z][\w-]+|localhost|[\d.]+|[\w.-]*:\d|\[")
_BARE_NAME = re.compile(r"[a-z][a-z._-]{0,15}$")


def _user_info(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find passwords in URLs, and what stands alone before the @ where that is a token."""
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


_AUTHORITY = re.compile(r"[^/?#]*+")
_USER = re.compile(r"[^/?#:@]*+")


def _user_info_of(low: str, start: int, last: int, end: int) -> tuple[int, int] | None:
    begin = start + 3
    user = _USER.match(low, begin, end)
    authority = _AUTHORITY.match(low, begin, end)
    if user is None or authority is None:
        return None
    at = low.rfind("@", begin, authority.end())
    web = low.endswith(("http", "https"), 0, start)
    if low.startswith(":", user.end()):
        password = user.end() + 1
        if at < password:
            # No @ before the path: a port, or a password with a / in it.
            if _PORT.match(low, password, end) or last < password:
                return None
            at = last
        elif not _HOST.match(low, at + 1, end) and last > at:
            at = last
        if at == password or low.startswith("x-oauth-basic@", password):
            # A token as the user, with an empty password.
            return (begin, user.end()) if web and user.end() > begin else None
        return password, at
    if at <= begin:
        return None
    alone = low[begin:at]
    if not web and (_BARE_NAME.match(alone) or (len(alone) < 16 and "%" not in alone)):
        return None
    return begin, at


def _after_scheme(value: str) -> bool:
    """Tell `Bearer 7f3a…` from `Bearer token expired`."""
    value = value.rstrip(".")
    if value.isalpha() and value in {value.lower(), value.upper(), value.capitalize()}:
        return len(value) >= 20
    if re.match(r"[a-z_]+=|[A-Za-z]+(?:[-/][A-Za-z]+)+$|\d{1,5}$|\*|%s|\{|\$\{", value):
        return False
    return len(value) >= 3


def _is_basic(value: str) -> bool:
    try:
        return b":" in binascii.a2b_base64(value[: len(value) // 4 * 4])
    except binascii.Error:
        return False


_JWT = re.compile(r"eyJ[\w-]*+((?:\.[\w-]*+)*+)", re.ASCII)


def _tokens_of_json(text: str, low: str) -> Iterator[tuple[int, int]]:
    for match in _JWT.finditer(text):
        if match.end(1) - match.start(1) > 8 and match.start(1) - match.start() >= 8:
            yield match.start(), match.end() - (text[match.end() - 1] == ".")


_PEM = re.compile(
    r"-----begin [a-z0-9 ]{0,40}private key(?: block)?-----(?:\s|\\{1,8}[nr]|[\"',+>])*+"
    r"(?=[a-z0-9+/=]{16}|[a-z0-9+/=]++$|proc-type|version:|comment:)|ppk-private-lines"
)


def _private_keys(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find the body of a private key, to its END or, if it was cut, to the end of the text."""
    at = 0
    while match := _PEM.search(low, at):
        at = low.find("-----end", match.end())
        at = len(low) if at < 0 else at
        yield match.end(), at


_AWS_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])", re.ASCII
)
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", re.ASCII)


def _aws(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find key ids, and a secret key of 40 characters close to one, whatever it is called."""
    for match in _AWS_ID.finditer(text):
        yield match.span()
        for beside in _AWS_SECRET.finditer(text, max(0, match.start() - 160), match.end() + 160):
            if not re.fullmatch(r"[0-9a-f]{40}", beside[0]):
                yield beside.span()


_MYSQL = re.compile(
    r"\b(?:mysql\w{0,16}|mariadb(?:-\w{1,16})?|sshpass|redis-cli|mongosh?|docker\ login|curl|wget)\b",
    re.VERBOSE,
)
_SHORT_OPTION = re.compile(
    r"""(?<=\s)-(?:
        p\s?('[^']*+'?|"[^"]*+"?|[^\s'"-][^\s'"]*+)
      | a\s('[^']*+'?|"[^"]*+"?|[^\s'"-][^\s'"]*+)
      | -?u(?:ser)?[\s=]["']?[^\s:"']{1,128}:([^\s"']++)
    )""",
    re.VERBOSE,
)


def _commands(text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find what these commands take as a password behind an option of one letter."""
    done = 0
    for command in _MYSQL.finditer(low):
        if command.start() < done:
            continue
        line = low.find("\n", command.end())
        done = len(low) if line < 0 else line
        for match in _SHORT_OPTION.finditer(low, command.end(), done):
            value = text[match.start(match.lastindex or 0) : match.end(match.lastindex or 0)]
            if match.lastindex != 1 or command[0] not in {"curl", "wget"}:
                if not (value.isdigit() and match.lastindex == 1 and text[match.start() + 2] == " "):
                    yield match.span(match.lastindex or 0)


_GO = re.compile(r"""(?<![^\s"'])[^\s"':@]++:([^\s"']+)@(?:tcp|unix)\(""")
_ORACLE = re.compile(r""":thin:[^\s/@"']{1,64}+/([^\s@"']{1,256}+)@""")


def _data_sources(text: str, low: str) -> Iterator[tuple[int, int]]:
    for pattern in (_GO, _ORACLE):
        for match in pattern.finditer(low):
            yield match.span(1)


# A token with a well-known beginning: what it must be made of, and how long it is at least.
_PREFIXES = r"""(?<![A-Za-z0-9])(?:
    gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_\w{20,}+
  | gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[\w.-]{16,}+
  | xox[a-z](?:\.xox[a-z])?-[\w-]{10,}+ | xapp-[\w-]{10,}+
  | (?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}+ | whsec_[A-Za-z0-9+/=]{16,}+
  | sk-(?:proj|svcacct|admin|ant|or|lf)-[\w-]{16,}+ | sk-[A-Za-z0-9]{20,}+ | gsk_[A-Za-z0-9]{20,}+
  | pplx-[A-Za-z0-9]{20,}+ | xai-[A-Za-z0-9]{20,}+ | r8_[A-Za-z0-9]{20,}+
  | npm_[A-Za-z0-9]{20,}+ | pypi-[\w-]{20,}+ | rubygems_[a-f0-9]{20,}+ | dckr_(?:pat|oat)_[\w-]{16,}+
  | SG\.[\w-]{16,}+\.[\w-]{16,}+ | (?:SK|AC)[0-9a-f]{32}(?::[0-9a-f]{32})?+(?![0-9a-f])
  | key-[0-9a-f]{32}(?![0-9a-f]) | xkeysib-[\w-]{32,}+ | [0-9a-f]{32}-us[0-9]{1,2}\b
  | AIza[\w-]{30,}+ | ya29\.[\w.-]{16,}+ | GOCSPX-[\w-]{16,}+ | 1//0[\w-]{30,}+
  | hf_[A-Za-z0-9]{20,}+ | api_org_[A-Za-z0-9]{20,}+
  | do[opr]_v1_[a-f0-9]{32,}+ | shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{24,}+
  | sq0[a-z]{3}-[\w-]{20,}+ | EAAA[\w-]{50,}+ | EAA[MC][A-Za-z0-9]{60,}+
  | hv[sbr]\.[\w-]{20,}+ | dapi[a-f0-9]{32} | dp\.(?:pt|st|ct|sa)\.[\w.-]{20,}+ | glsa_\w{20,}+
  | glc_[A-Za-z0-9+/=]{20,}+ | lin_api_[A-Za-z0-9]{20,}+ | ntn_[A-Za-z0-9]{20,}+
  | secret_[A-Za-z0-9]{40,}+ | sntry[su]_[\w+/=-]{20,}+ | NRAK-[A-Z0-9]{20,}+ | PMAK-[\w-]{20,}+
  | tfp_[\w.=-]{20,}+ | pscale_(?:tkn|oauth|pw)_[\w.=-]{20,}+ | pul-[a-f0-9]{40}
  | HRKU-[\w-]{20,}+ | figd_[\w-]{20,}+ | AKCp[A-Za-z0-9]{20,}+ | LTAI[A-Za-z0-9]{16,}+
  | ops_eyJ[\w+/=-]{20,}+ | AGE-SECRET-KEY-1[A-Z0-9]{20,}+ | sha256~[\w-]{40,}+
  | atlasv1\.[\w-]{20,}+ | ATATT3[\w=-]{20,}+ | ABSK[A-Za-z0-9+/=]{40,}+
  | [A-Za-z0-9_~.]{3}[0-9]Q~[\w~.-]{31,}+
)"""
_PREFIX_LITERALS = tuple(
    "ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|gloas-|gldt-|glrt-|glcbt-|glptt-|glft-|glimt-|glagent-|"
    "glsoat-|glffct-|xox|xapp-|_live_|_test_|_prod_|whsec_|sk-|gsk_|pplx-|xai-|r8_|npm_|pypi-|rubygems_|"
    "dckr_|sg.|sk0|sk1|sk2|sk3|sk4|sk5|sk6|sk7|sk8|sk9|ska|skb|skc|skd|ske|skf|"
    "ac0|ac1|ac2|ac3|ac4|ac5|ac6|ac7|ac8|ac9|aca|acb|acc|acd|ace|acf|"
    "key-|xkeysib-|-us|aiza|ya29.|gocspx-|1//0|hf_|api_org_|_v1_|shpat_|shpca_|shppa_|shpss_|sq0|eaa|"
    "hvs.|hvb.|hvr.|dapi|dp.|glsa_|glc_|lin_api_|ntn_|secret_|sntrys_|sntryu_|nrak-|pmak-|tfp_|"
    "pscale_|pul-|hrku-|figd_|akcp|ltai|ops_eyj|age-secret-key-|sha256~|atlasv1.|atatt3|absk|q~".split(
        "|"
    )
)

RULES: tuple[Rule, ...] = (
    Rule(
        "named values",
        "the value of a name like password, token, secret, api key, Authorization, Cookie",
        NAME_LITERALS,
        named_values,
    ),
    Rule(
        "URL user info",
        "passwords in URLs; what stands alone before the @ of http and https",
        ("://",),
        _user_info,
    ),
    Rule(
        "schemes",
        "what follows Bearer, Negotiate, NTLM, ApiKey",
        ("bearer", "negotiate", "ntlm", "apikey"),
        _in(
            r"(?<![a-z0-9_-])(?:bearer|negotiate|ntlm|apikey)(?:[ \t]|%20){1,8}([^\s\"'<>,;)\]}]++)",
            low=True,
            when=_after_scheme,
        ),
    ),
    Rule(
        "Basic",
        "what follows Basic, if it is a user and a password in base64",
        ("basic",),
        _in(
            r"(?<![a-zA-Z0-9_-])[Bb](?:asic|ASIC)(?:[ \t]|%20){1,8}([A-Za-z0-9+/]{4,}+=*+)",
            when=_is_basic,
        ),
    ),
    Rule("JWT", "JSON web tokens", ("eyj",), _tokens_of_json),
    Rule("private keys", "the body of PEM, OpenSSH and PGP private keys", ("private",), _private_keys),
    Rule(
        "AWS keys",
        "AWS key ids and a secret access key close to one",
        ("akia", "asia", "abia", "acca", "aroa", "aida"),
        _aws,
    ),
    Rule("known tokens", "tokens with a well-known beginning", _PREFIX_LITERALS, _in(_PREFIXES)),
    Rule(
        "Discord tokens",
        "bot tokens of Discord: three parts with dots",
        (".",),
        _in(r"(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,}+"),
    ),
    Rule(
        "Telegram tokens",
        "bot tokens of Telegram",
        (":a",),
        _in(r"(?<![0-9])[0-9]{5,16}+:A[\w-]{34}"),
    ),
    Rule(
        "webhook URLs",
        "the secret part of webhook URLs of Slack, Discord, Teams and Zapier",
        ("hooks.", "/webhooks/", "webhookb2/"),
        _in(
            r"""hooks\.slack\.com/(?:services|workflows|triggers)/([\w+/-]++)
            | /webhooks/[0-9]{1,24}/([\w-]{16,}+)
            | /webhookb2/([\w@/.-]++)
            | hooks\.zapier\.com/hooks/catch/([\w/-]++)""",
            low=True,
        ),
    ),
    Rule(
        "data source names",
        "user:password@tcp(host) of Go, user/password@ of Oracle",
        ("@tcp(", "@unix(", ":thin:"),
        _data_sources,
    ),
    Rule(
        "command lines",
        "-p, -a and -u user:password of mysql, sshpass, redis-cli, docker login, curl and others",
        ("mysql", "mariadb", "sshpass", "redis-cli", "mongo", "docker login", "curl", "wget"),
        _commands,
    ),
)
