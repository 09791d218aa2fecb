"""The options that choose some of what a command finds: by time, and by how many sequences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import click

from ledger.cli.typed.options import since_option, until_option
from projections.searching import Wanted

__all__ = ["bounds"]


def bounds(least_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds --since, --until and --min, which a command is given as `wanted`."""

    def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_bounds(
            *positional: Any,
            since: datetime | None,
            until: datetime | None,
            least: int,
            **rest: Any,
        ) -> Any:
            wanted = Wanted(since=since, until=until, least=least)
            return command(*positional, wanted=wanted, **rest)

        least = click.option(
            "--min",
            "least",
            type=click.IntRange(1),
            default=1,
            metavar="N",
            help=least_help,
        )
        return since_option(until_option(least(with_bounds)))

    return with_options
