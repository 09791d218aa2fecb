"""What a name says about its value, and which values are no secrets."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache

__all__ = ["LITERALS", "SHORT", "Kind", "begins_prose", "is_no_secret", "is_random", "kind_of"]

SHORT = 512
"""Characters of a value that are checked to decide whether it is a secret."""


class Kind(Enum):
    """What a name says about its value."""

    SECRET = auto()
    TOKEN = auto()
    """A secret; but a short word after a colon is prose: `invalid token: expired`."""
    RANDOM = auto()
    """A secret if the value looks random: `sig=…`, `key=…` in a query string."""
    HEADER = auto()
    """Authorization and cookies: the value reaches to the end of the line."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LITERALS = (
    *("pass", "pwd", "pw", "secret", "token", "credential", "key", "jwt", "sig", "auth", "cookie"),
    *("session", "sessid", "sid", "code", "assertion", "saml", "bearer", "csrf", "identified by"),
    *("contraseña", "kennwort", "mot_de_passe"),
)
"""A name that contains none of these names no secret."""

# A word that ends like this names a secret, however it begins: PGPASSWORD.
_SECRETS = (
    *("password", "passwords", "passwd", "passphrase", "passcode", "passkey", "pwd"),
    *("secret", "secrets", "apikey", "accesskey", "secretkey", "privatekey", "authkey"),
    *("accountkey", "sharedkey", "signingkey", "encryptionkey", "masterkey", "sshkey"),
    *("dbpass", "userpass", "smtppass", "passwort", "kennwort", "contraseña"),
)
_TOKENS = ("token", "credential", "credentials", "jwt")
_TOKENS_ALONE = _words("pass pw bearer")
# Names of several words, written together.
_JOINED = (
    *("sharedaccesskey", "sharedaccesssignature", "codeverifier", "samlresponse"),
    *("motdepasse", "basicauth", "clientkeydata"),
)
_RANDOM = _words(
    "sig signature csrf key code auth session sessionid jsessionid phpsessid sid ticket assertion"
)
# After one of these words, "key" and "pass" name a secret: access key, but not primary key.
_OWNERS = _words(
    """access account admin amqp api apim app auth database db deploy encryption ftp function
    functions hmac http imap ldap license mail master mq mysql pg postgres private proxy redis root
    secret session shared signing smtp ssh storage subscription user webhook"""
)
# A name that ends like this describes a secret, and is none: token_count, secretName. The last
# lines are extensions of files.
_HARMLESS_ENDS = _words(
    """age algorithm argtypes arn at attempt attempts audience auth authentication bucket budget
    changed class cost count counts dir disabled enabled endpoint error errors exchange
    expiration expired expires expiry failed failure field fields file files form format
    generator handler header headers help hint id ids in index invalid issuer kind len length
    limit limits manager max method mgr min mismatch missing mode name names path policy
    prompt provider rate ratio ref refresh request required reset response review rotation
    scope scopes service size status store strength total ttl type types uri url usage
    used valid validator version
    c cfg conf cpp cs env erl ex go h html ini java js json kt log md php py rb rs scala sql toml
    ts txt xml yaml yml"""
)
# Tokens of pagination and of language models.
_HARMLESS_TOKENS = _words(
    """bos cancellation continuation end eos first last lookahead max min next num pad page
    pagination per sep start stop sync unexpected unk"""
)
# After a name and a colon these begin a sentence: password: must have eight characters.
_PROSE = _words(
    """a absent an and are authentication based be cannot challenge changed could denied does empty
    error exceeded expected expired failed failure false for forbidden format from had has header
    hidden if in incorrect invalid is it masked mismatch missing must needs nil no none not null of
    ok on only optional or please redacted refused rejected request requests required requires
    revoked scheme set should string success that the this to too true unavailable undefined
    unexpected unknown unset unsupported valid was were which will with wrong yes you your"""
)
_NOTHING = _words("null none nil undefined true false redacted filtered")
_CODE_NAMES = _words(
    """password passwd pwd token secret api_key apikey access_token client_secret credentials"""
)
# Source code in a traceback, and placeholders.
_CODE = re.compile(
    r"(?:self|cls|os|settings|config|request|req|args|kwargs|options|opts|env|environ|params|app)"
    r"(?:\.[a-z_.]{1,64}(?:$|[\[(])|[\[(])|(?:getenv|getpass)[.(]"
    r"|\$\{[\w.:-]{1,64}\}?$|<[a-z_ -]{1,40}>$|%[sdr]$|%\([a-z_]{1,40}\)?"
    r"|\{[a-z_]{0,40}\}$|[?]$|[$]\d$"
)
_NUMBER = re.compile(r"[\d.,_]{1,6}(?:ms|s|kb|mb|%)?$")
_PATH = re.compile(r"(?:/|~|[a-z]:\\)[\w./\\ -]*$")
_RUN = re.compile(r"[a-z0-9]{16}")
_DIGIT = re.compile("[0-9]")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BETWEEN = re.compile(r"[\W_]+")


@lru_cache(maxsize=512)
def kind_of(name: str) -> Kind | None:
    """Return what `name` says about its value, or None if it says nothing."""
    words = [word for word in _BETWEEN.split(_HUMP.sub("_", name).lower()) if word]
    words = [word.rstrip("0123456789") or word for word in words if not word.isdigit()]
    joined = "".join(words)
    if joined.endswith(("authorization", "cookie")):
        return Kind.HEADER
    if joined.endswith(_JOINED):
        return Kind.SECRET
    if not words or (words[-1] in _HARMLESS_ENDS and len(words) > 1):
        return None
    for before, word in zip(["", *words], words, strict=False):
        if word.endswith(_SECRETS) or (word in {"key", "keys", "pass", "pw"} and before in _OWNERS):
            return Kind.SECRET
        if joined in _TOKENS_ALONE or (word.endswith(_TOKENS) and before not in _HARMLESS_TOKENS):
            return Kind.TOKEN
    alone = len(words) == 1 or words[-1] not in {"key", "code"}
    return Kind.RANDOM if words[-1] in _RANDOM and alone else None


def is_random(value: str) -> bool:
    """Return whether `value` looks randomly generated, and is no UUID."""
    value = value[:96]
    low = value.lower()
    digits = len(_DIGIT.findall(low))
    if len(value) < 16 or value.isdigit() or not digits or _UUID.match(low):
        return False
    mixed = value not in {low, value.upper()}
    return bool(_RUN.search(low)) or (len(low) >= 24 and digits >= 3 and mixed and " " not in low)


def begins_prose(word: str) -> bool:
    """Return whether what follows a name and a colon begins a sentence, and is no value."""
    return word.strip(".,;:!?()'\"") in _PROSE


def is_no_secret(value: str, name: str, kind: Kind | None = None) -> bool:
    """Return whether a value is empty, masked, a placeholder, code, or no more than a name.

    Both are in lower case, and at most `SHORT` characters of the value are given.
    """
    inner = value.strip("\"'\\` \t“”‘’«»[]()<>")
    if not inner.strip("*…•x.") or inner in _NOTHING or (len(inner) <= 2 and not inner.isalnum()):
        return True
    if inner == name or (kind_of(inner) and inner.replace("_", "").isalpha() and inner in name):
        return True
    if name.endswith("pwd") and _PATH.match(inner):
        return True
    if not value.startswith(("'", '"', "\\")) and (_CODE.match(inner) or inner in _CODE_NAMES):
        return True
    return kind is Kind.TOKEN and name != "token" and bool(_NUMBER.match(inner))
