"""The command line of the ledger itself; `projections.cli` adds the questions about its history."""

from __future__ import annotations

from collections.abc import Iterable

import click

from ledger.cli import reading, verifying, writing
from ledger.cli.adopting import adopt
from ledger.cli.bulk import append
from ledger.cli.copying import copy
from ledger.cli.declaring import positions
from ledger.cli.heads import heads
from ledger.cli.running import Commands
from ledger.cli.target import DEFAULT_DB, Target
from ledger.opening import BUSY_TIMEOUT_S

__all__ = ["commands", "program"]

commands: tuple[click.Command, ...] = (
    *writing.commands,
    append,
    adopt,
    heads,
    *reading.commands,
    *verifying.commands,
    copy,
    positions,
)


def program(commands: Iterable[click.Command]) -> click.Group:
    """Return the program `cursor-ledger` with these commands."""

    @click.group(
        "cursor-ledger",
        cls=Commands,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by the law, "
        "4 no such cursor, 5 verification failed, 6 further behind than allowed, 70 a bug in "
        "cursor-ledger, 74 appended, but the output failed, 75 busy, try again, 130 interrupted.",
    )
    @click.option(
        "--db",
        default=DEFAULT_DB,
        envvar="CURSOR_LEDGER_DB",
        show_default=True,
        show_envvar=True,
        metavar="TARGET",
        help="The ledger: the path of its file, or a postgresql:// URL.",
    )
    @click.option(
        "--actor",
        envvar="CURSOR_LEDGER_ACTOR",
        show_envvar=True,
        metavar="NAME",
        help="The actor of what is appended.  [default: user@host]",
    )
    @click.option(
        "--busy-timeout",
        type=click.FloatRange(0, 86_400),
        default=BUSY_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for other writers.",
    )
    @click.version_option(package_name="cursor-ledger", message="cursor-ledger %(version)s")
    @click.pass_context
    def main(context: click.Context, db: str, actor: str | None, busy_timeout: float) -> None:
        """Record who moved which cursor, from where to where, when and why; and answer questions.

        A cursor is named by CONSUMER STREAM [SUBJECT]. Results are a table on a terminal, and JSON
        lines in a pipe; --table, --json, --jsonl and --csv select another form.
        """
        context.obj = Target(path=db, actor=actor, busy_timeout_s=busy_timeout)

    for command in commands:
        main.add_command(command)
    return main
