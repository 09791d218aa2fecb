"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ledger.cli.times import MOMENT

__all__ = [
    "actor_option",
    "delivered_at_option",
    "delivery_id_option",
    "limit_option",
    "metadata_option",
    "now_option",
    "version_option",
]

actor_option = click.option("--actor", help="Who does this; else as for cursor-ledger.")
version_option = click.option(
    "--expect-version", type=int, help="Refuse if the cursor is not at this version."
)
delivery_id_option = click.option("--delivery-id", default="", help="Which delivery this is.")
delivered_at_option = click.option("--delivered-at", type=MOMENT, help="When it was delivered.")
now_option = click.option("--now", type=MOMENT, help="When this happened; else now.")
limit_option = click.option(
    "-n", "--limit", type=int, default=0, help="At most so many; 0 for all."
)


def metadata_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--meta NAME=VALUE`, as often as wanted."""
    return click.option(
        "--meta",
        "metadata",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="Keep this with the entry, such as ticket=OPS-12. Repeatable.",
    )(command)


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or name in pairs:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, once.", context, parameter)
        pairs[name] = text
    return pairs
