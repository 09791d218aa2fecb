"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from ledger.cli.shown.shapes import limit_option, own_limit_option, sort_option
from ledger.cli.typed.keys import known_actors
from ledger.cli.typed.times import EXACT_MOMENT, MOMENT

__all__ = [
    "actor_option",
    "delivered_at_option",
    "delivery_id_option",
    "limit_option",
    "metadata_option",
    "now_option",
    "own_limit_option",
    "since_option",
    "sort_option",
    "until_option",
    "version_option",
]

actor_option = click.option(
    "--actor",
    shell_complete=known_actors,
    help="The actor of this, if not that of cursor-ledger --actor.",
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


def _in_order(
    context: click.Context, parameter: click.Parameter, moment: datetime | None
) -> datetime | None:
    """Refuse a span that ends before it begins: nothing is in it, which looks like an answer."""
    given = {**context.params, parameter.name: moment}
    since, until = given.get("since"), given.get("until")
    if since is not None and until is not None and since > until:
        raise click.UsageError(
            "--since is later than --until, so nothing is between them. The earlier one is --since."
        )
    return moment


since_option = click.option(
    "--since",
    type=MOMENT,
    callback=_in_order,
    help="Recorded at this time or later: a time, or a time ago (90m, 7d).",
)
until_option = click.option(
    "--until", type=MOMENT, callback=_in_order, help="Recorded at this time or earlier."
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
