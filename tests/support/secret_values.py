"""Made-up secrets.

Every value is drawn here, and well-known beginnings are put together when this is imported:
nothing in the source looks like a token to a scanner of repositories.
"""

from __future__ import annotations

import base64
import hashlib
import string

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
WORD = ALNUM + "_-"
UPPER = string.ascii_uppercase + string.digits


def drawn(length: int, alphabet: str, seed: str) -> str:
    """Return characters that look drawn by chance, and are the same in every run."""
    found = ""
    turn = 0
    while len(found) < length:
        block = hashlib.sha256(f"{seed}/{turn}".encode()).digest()
        found += "".join(alphabet[byte % len(alphabet)] for byte in block)
        turn += 1
    return found[:length]


def of(*parts: str | tuple[int, str]) -> str:
    """Put a token together: texts as they are, and (length, alphabet) as drawn characters."""
    return "".join(
        part if isinstance(part, str) else drawn(*part, seed=f"{parts}{nth}")
        for nth, part in enumerate(parts)
    )


def encoded(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


def pem(kind: str, lines: int = 4) -> list[str]:
    """Return the lines of a private key."""
    title = kind + "PRIVATE" + " KEY"
    body = [drawn(64, ALNUM + "+/", f"{kind}{nth}") for nth in range(lines)]
    return [f"-----BEGIN {title}-----", *body, f"-----END {title}-----"]


JWT = ".".join(
    [
        encoded('{"alg":"RS256","typ":"JWT"}'),
        encoded('{"sub":"1234567890","name":"Ines","iat":1516239022}'),
        drawn(43, WORD, "jwt"),
    ]
)
AWS_ID = of("AK", "IA", (16, string.ascii_uppercase + "234567"))
AWS_SECRET = of((40, ALNUM + "/+"))

TOKENS = {
    "github": of("gh", "p_", (36, ALNUM)),
    "github oauth": of("gh", "o_", (36, ALNUM)),
    "github user": of("gh", "u_", (36, ALNUM)),
    "github server": of("gh", "s_", (36, ALNUM)),
    "github refresh": of("gh", "r_", (36, ALNUM)),
    "github fine": of("github", "_pat_", (22, ALNUM), "_", (59, ALNUM)),
    "gitlab": of("gl", "pat-", (20, WORD)),
    "gitlab runner": of("gl", "rt-", (20, WORD)),
    "slack bot": of("xo", "xb-", (12, "0123456789"), "-", (12, "0123456789"), "-", (24, ALNUM)),
    "slack user": of("xo", "xp-", (11, "0123456789"), "-", (12, "0123456789"), "-", (32, HEX)),
    "slack app": of("xa", "pp-1-A", (10, "0123456789"), "-", (13, "0123456789"), "-", (64, HEX)),
    "stripe": of("sk", "_live_", (24, ALNUM)),
    "stripe restricted": of("rk", "_live_", (99, ALNUM)),
    "stripe test": of("sk", "_test_", (24, ALNUM)),
    "stripe webhook": of("wh", "sec_", (32, ALNUM)),
    "openai": of("sk", "-", (48, ALNUM)),
    "openai project": of("sk", "-proj-", (74, WORD), "T3", "BlbkFJ", (74, WORD)),
    "anthropic": of("sk", "-ant-api03-", (93, WORD), "AA"),
    "npm": of("np", "m_", (36, ALNUM)),
    "pypi": of("py", "pi-AgEIcHlwaS5vcmc", (80, WORD)),
    "sendgrid": of("S", "G.", (22, WORD), ".", (43, WORD)),
    "twilio": of("S", "K", (32, HEX)),
    "mailchimp": of((32, HEX), "-u", "s14"),
    "mailgun": of("ke", "y-", (32, HEX)),
    "google": of("AI", "za", (35, WORD)),
    "google oauth": of("ya", "29.a0Af", (120, WORD)),
    "google client": of("GOC", "SPX-", (28, WORD)),
    "hugging face": of("h", "f_", (34, string.ascii_letters)),
    "digital ocean": of("do", "p_v1_", (64, HEX)),
    "shopify": of("sh", "pat_", (32, HEX)),
    "square": of("sq", "0atp-", (22, WORD)),
    "square access": of("EA", "AA", (60, WORD)),
    "telegram": of("7", (9, "0123456789"), ":A", "A", (33, WORD)),
    "discord": of("M", (25, ALNUM), ".", (6, ALNUM), ".", (38, ALNUM)),
    "vault": of("hv", "s.", (95, ALNUM)),
    "databricks": of("da", "pi", (32, HEX)),
    "grafana": of("gl", "sa_", (32, ALNUM), "_", (8, HEX)),
    "linear": of("li", "n_api_", (40, ALNUM)),
    "docker": of("dc", "kr_pat_", (27, WORD)),
    "azure client": of((3, ALNUM), "8", "Q~", (34, ALNUM)),
    "atlassian": of("AT", "ATT3x", (180, WORD)),
    "age": of("AGE-SECRET", "-KEY-1", (58, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")),
    "supabase": of("sb", "p_", (40, HEX)),
    "supabase secret": of("sb", "_secret_", (31, WORD)),
    "tailscale": of("ts", "key-auth-k", (11, ALNUM), "CNTRL-", (32, ALNUM)),
    "fly": of("fo", "1_", (43, WORD)),
    "fly macaroon": of("fm", "2_lJPEC", (120, ALNUM), "=="),
    "vercel": of("vc", "p_", (56, ALNUM)),
    "netlify": of("nf", "p_", (36, ALNUM)),
    "circleci": of("CCI", "PAT_", (22, ALNUM), "_", (40, HEX)),
    "buildkite": of("bk", "ua_", (40, HEX)),
    "sonarqube": of("sq", "p_", (40, HEX)),
    "dynatrace": of("dt", "0c01.", (24, UPPER), ".", (64, UPPER)),
    "langsmith": of("ls", "v2_pt_", (32, HEX), "_", (10, HEX)),
    "resend": of("re", "_", (8, ALNUM), "_", (24, ALNUM)),
    "pinecone": of("pc", "sk_", (6, ALNUM), "_", (56, ALNUM)),
    "neon": of("na", "pi_", (64, HEX)),
    "nvidia": of("nv", "api-", (64, WORD)),
    "posthog": of("ph", "x_", (43, ALNUM)),
    "render": of("rn", "d_", (28, ALNUM)),
    "contentful": of("CF", "PAT-", (43, WORD)),
    "cloudflare": of("cf", "ut_", (40, ALNUM)),
    "together": of("tg", "p_v1_", (43, WORD)),
    "tavily": of("tv", "ly-dev-", (32, ALNUM)),
    "bitbucket": of("AT", "BB", (32, ALNUM)),
    "bitbucket repository": of("AT", "CTT3xFfGN0", (170, WORD), "=", (8, UPPER)),
    "gemini": of("A", "Q.Ab8", (45, WORD)),
    "airtable": of("p", "at", (14, ALNUM), ".", (64, HEX)),
    "stripe organisation": of("sk", "_org_live_", (40, ALNUM)),
    "github app": of("gh", "s_", (7, "0123456789"), "_", JWT),
    "jwt": JWT,
    "aws id": AWS_ID,
}


P = of((14, ALNUM))
"""A password that only its surroundings tell."""
ODD = "p@ss/w:0rd#1"
PHRASE = "correct horse battery"
BASIC = base64.b64encode(f"ines:{P}".encode()).decode()
LONG = of((43, WORD))
