"""Secrets that are recognised by their form: tokens, keys, and what follows a scheme."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator

__all__ = [
    "PREFIX_LITERALS",
    "aws",
    "basic",
    "discord",
    "jwts",
    "prefixed",
    "private_keys",
    "schemes",
    "telegram",
    "webhooks",
]


def _in(
    pattern: str, *, low: bool = False, when: Callable[[str], bool] | None = None
) -> Callable[[str, str], Iterator[tuple[int, int]]]:
    """Return a search for a pattern; the secret is its group, or else the whole match."""
    compiled = re.compile(pattern, re.ASCII | re.VERBOSE)

    def find(text: str, lowered: str) -> Iterator[tuple[int, int]]:
        for match in compiled.finditer(lowered if low else text):
            begin, end = match.span(match.lastindex or 0)
            if when is None or when(text[begin:end]):
                yield begin, end

    return find


def _after_scheme(value: str) -> bool:
    """Distinguish `Bearer 7f3a…` from `Bearer token expired`."""
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


schemes = _in(
    r"(?<![a-z0-9_-])(?:bearer|negotiate|ntlm|apikey)(?:[ \t]|%20){1,8}([^\s\"'<>,;)\]}]++)",
    low=True,
    when=_after_scheme,
)
basic = _in(
    r"(?<![a-zA-Z0-9_-])[Bb](?:asic|ASIC)(?:[ \t]|%20){1,8}([A-Za-z0-9+/]{4,}+=*+)",
    when=_is_basic,
)
discord = _in(r"(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6}\.[\w-]{27,}+")
telegram = _in(r"(?<![0-9])[0-9]{5,16}+:A[\w-]{34}")
webhooks = _in(
    r"""hooks\.slack\.com/(?:services|workflows|triggers)/([\w+/-]++)
    | /webhooks/[0-9]{1,24}/([\w-]{16,}+)
    | /webhookb2/([\w@/.-]++)
    | hooks\.zapier\.com/hooks/catch/([\w/-]++)""",
    low=True,
)

_JWT = re.compile(r"eyJ[\w-]*+((?:\.[\w-]*+)*+)", re.ASCII)


def jwts(text: str, _low: str) -> Iterator[tuple[int, int]]:
    """Find JSON web tokens: JSON in base64, followed by other parts after dots."""
    for match in _JWT.finditer(text):
        if match.end(1) - match.start(1) > 8 and match.start(1) - match.start() >= 8:
            yield match.start(), match.end() - (text[match.end() - 1] == ".")


_PEM = re.compile(
    r"-----begin [a-z0-9 ]{0,40}private key(?: block)?-----(?:\s|\\{1,8}[nr]|[\"',+>])*+"
    r"(?=[a-z0-9+/=]{16}|[a-z0-9+/=]++$|proc-type|version:|comment:)"
    r"|private-lines: {0,8}\d{1,4}\r?(?:\n|\\{1,8}[nr])++"
)
# How the lines of a key of PuTTY end, and all others.
_KEY_ENDS = re.compile(r"-----end|private-(?:mac|hash):")


def private_keys(_text: str, low: str) -> Iterator[tuple[int, int]]:
    """Find the body of a private key, to its END or, if it was cut, to the end of the text."""
    at = 0
    while match := _PEM.search(low, at):
        ends = _KEY_ENDS.search(low, match.end())
        at = ends.start() if ends else len(low)
        yield match.end(), at


_AWS_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])", re.ASCII
)
_AWS_SECRET = re.compile(r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", re.ASCII)


def aws(text: str, _low: str) -> Iterator[tuple[int, int]]:
    """Find key ids, and a secret key of 40 characters close to one, whatever it is called."""
    for match in _AWS_ID.finditer(text):
        yield match.span()
        for beside in _AWS_SECRET.finditer(text, max(0, match.start() - 160), match.end() + 160):
            if not re.fullmatch(r"[0-9a-f]{40}", beside[0]):
                yield beside.span()


# Tokens with a well-known beginning, with the characters and the least length of the rest.
prefixed = _in(
    r"""(?<![A-Za-z0-9])(?:
    gh[pousr]_\w{20,}+ | github_pat_\w{20,}+
  | gl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[\w.-]{16,}+
  | xox[a-z](?:\.xox[a-z])?-[\w-]{10,}+ | xapp-[\w-]{10,}+
  | (?:sk|rk|pk)_(?:org_)?(?:live|test|prod)_[A-Za-z0-9]{10,}+ | whsec_[A-Za-z0-9+/=]{16,}+
  | sk-(?:proj|svcacct|admin|ant|or|lf)-[\w-]{16,}+ | sk-[A-Za-z0-9]{20,}+ | gsk_[A-Za-z0-9]{20,}+
  | pplx-[A-Za-z0-9]{20,}+ | xai-[A-Za-z0-9]{20,}+ | r8_[A-Za-z0-9]{20,}+
  | npm_[A-Za-z0-9]{20,}+ | pypi-[\w-]{20,}+ | rubygems_[a-f0-9]{20,}+
  | dckr_(?:pat|oat)_[\w-]{16,}+
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
  | sbp_[a-f0-9]{40,}+ | sb_secret_[\w-]{20,}+ | tskey-[a-z]{3,}+-[\w-]{16,}+
  | fo1_[\w-]{30,}+ | fm[12][ar]?_[\w+/=-]{40,}+ | vc[aikpr]_[A-Za-z0-9]{20,}+
  | nf[cpu]_[A-Za-z0-9]{30,}+ | CCIP(?:AT|RJ)_\w{20,}+ | bk(?:ua|at|ct|aj)_[a-f0-9]{32,}+
  | sq[apu]_[a-f0-9]{40} | dt0[a-z][0-9]{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}
  | lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10} | re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}+
  | pcsk_\w{30,}+ | napi_[a-z0-9]{30,}+ | nvapi-[\w-]{30,}+ | phx_[A-Za-z0-9]{30,}+
  | rnd_[A-Za-z0-9]{24,}+ | CFPAT-[\w-]{30,}+ | cf(?:k|ut|at)_\w{30,}+ | tgp_v1_[\w-]{30,}+
  | tvly-[\w-]{24,}+ | ATBB[A-Za-z0-9]{24,}+ | ATCTT3[\w=-]{20,}+ | AQ\.Ab[\w-]{30,}+
  | pat[A-Za-z0-9]{14}\.[a-f0-9]{64}
)"""
)
_LITERALS = """
    ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gloas- gldt- glrt- glcbt- glptt- glft- glimt-
    glagent- glsoat- glffct- xox xapp- _live_ _test_ _prod_ whsec_ sk- gsk_ pplx- xai- r8_ npm_
    pypi- rubygems_ dckr_ sg. key- xkeysib- -us aiza ya29. gocspx- 1//0 hf_ api_org_ _v1_ shpat_
    shpca_ shppa_ shpss_ sq0 eaa hvs. hvb. hvr. dapi dp. glsa_ glc_ lin_api_ ntn_ secret_
    sntrys_ sntryu_ nrak- pmak- tfp_ pscale_ pul- hrku- figd_ akcp ltai ops_eyj age-secret-key-
    sha256~ atlasv1. atatt3 absk q~
    sbp_ sb_secret_ tskey- fo1_ fm1 fm2 vca_ vci_ vck_ vcp_ vcr_ nfc_ nfp_ nfu_ ccipat_ cciprj_
    bkua_ bkat_ bkct_ bkaj_ sqa_ sqp_ squ_ dt0 lsv2_ re_ pcsk_ napi_ nvapi- phx_ rnd_ cfpat- cfk_
    cfut_ cfat_ tgp_v1_ tvly- atbb atctt3 aq.ab pat
"""
PREFIX_LITERALS = (
    *_LITERALS.split(),
    # The ids of Twilio begin with two letters, followed by hexadecimal digits.
    *(kind + digit for kind in ("sk", "ac") for digit in "0123456789abcdef"),
)
"""In lower case, one for each beginning."""
