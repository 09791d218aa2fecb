"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ledger.cli.times import EXACT_MOMENT

__all__ = [
    "actor_option",
    "delivered_at_option",
    "delivery_id_option",
    "limit_option",
    "metadata_option",
    "now_option",
    "version_option",
]

actor_option = click.option(
    "--actor", help="The actor of this, if not that of cursor-ledger --actor."
)
version_option = click.option(
    "--expect-version", type=int, help="Refuse unless the cursor is at this version."
)
delivery_id_option = click.option(
    "--delivery-id", default="", help="The id of the delivery at this sequence."
)
delivered_at_option = click.option(
    "--delivered-at", type=EXACT_MOMENT, help="When that delivery was made."
)
now_option = click.option("--now", type=EXACT_MOMENT, help="When this happened, if not now.")
limit_option = click.option(
    "-n", "--limit", type=int, default=0, help="At most this many; 0 means all."
)


def metadata_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--meta NAME=VALUE`, as often as wanted."""
    return click.option(
        "--meta",
        "metadata",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_pairs,
        help="Metadata to keep with the entry, such as ticket=OPS-12. Repeatable.",
    )(command)


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or name in pairs:
            raise click.BadParameter(
                f"{value!r} is not NAME=VALUE, or names a NAME twice.", context, parameter
            )
        pairs[name] = text
    return pairs
