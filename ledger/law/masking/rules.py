"""The rules: the name of each, what it recognises, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from ledger.law.masking import names, tokens, urls, values

__all__ = ["RULES", "Rule"]


@attrs.frozen
class Rule:
    """One rule: its name, what it recognises, and how it finds it."""

    name: str
    recognises: str
    literals: tuple[str, ...]
    """In lower case; a text without any of them is not searched."""
    find: Callable[[str, str], Iterator[tuple[int, int]]]
    """Yields the places of secrets in a text; its second argument is the text in lower case."""


RULES: tuple[Rule, ...] = (
    Rule(
        "named values",
        "the value of a name like password, token, secret, api key, Authorization, Cookie",
        names.LITERALS,
        values.named_values,
    ),
    Rule(
        "URL user info",
        "passwords in URLs; what stands alone before the @ of http and https",
        ("://",),
        urls.user_info,
    ),
    Rule(
        "data source names",
        "user:password@tcp(host) of Go, user/password@ of Oracle",
        ("@tcp(", "@unix(", ":thin:"),
        urls.data_sources,
    ),
    Rule(
        "command lines",
        "-p, -a and -u user:password of mysql, sshpass, redis-cli, docker login, curl and others",
        ("mysql", "mariadb", "sshpass", "redis-cli", "mongo", "docker login", "curl", "wget"),
        urls.commands,
    ),
    Rule(
        "schemes",
        "what follows Bearer, Negotiate, NTLM and ApiKey, unless it is a word",
        ("bearer", "negotiate", "ntlm", "apikey"),
        tokens.schemes,
    ),
    Rule(
        "Basic",
        "what follows Basic, if it is a user and a password in base64",
        ("basic",),
        tokens.basic,
    ),
    Rule("JSON web tokens", "JWT and JWE, by their beginning and dots", ("eyj",), tokens.jwts),
    Rule(
        "private keys",
        "the body of private keys in PEM, of OpenSSH, PGP and PuTTY, also without an end",
        ("private",),
        tokens.private_keys,
    ),
    Rule(
        "AWS keys",
        "AWS key ids, and a secret access key close to one",
        ("akia", "asia", "abia", "acca", "aroa", "aida"),
        tokens.aws,
    ),
    Rule(
        "known tokens",
        "tokens with a well-known beginning, listed below",
        tokens.PREFIX_LITERALS,
        tokens.prefixed,
    ),
    Rule("Discord tokens", "bot tokens of Discord: three parts with dots", (".",), tokens.discord),
    Rule("Telegram tokens", "bot tokens of Telegram", (":a",), tokens.telegram),
    Rule(
        "webhook URLs",
        "the secret part of webhook URLs of Slack, Discord, Teams and Zapier",
        ("hooks.", "/webhooks/", "webhookb2/"),
        tokens.webhooks,
    ),
)
"""Every rule. docs/masking.md lists them as well."""
