"""A program that has cursor-ledger as one of its commands, and says itself where the ledger is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from ledger.targets.hosts import Host

__all__ = ["DbOption", "command_name", "host_of"]

_OWN_NAME = "cursor-ledger"


def host_of(context: click.Context | None) -> Host | None:
    """Return the program that the command runs in; None if that is cursor-ledger itself."""
    # A Host until the options of the program are read, and a Target with one afterwards.
    known = context.find_root().obj if context is not None else None
    found = getattr(known, "host", known)
    if found is None:
        return None
    # Imported here, because only a host needs it.
    from ledger.targets.hosts import Host

    return found if isinstance(found, Host) else None


def command_name() -> str:
    """Return what a command that is printed begins with, as it would be typed again."""
    host = host_of(click.get_current_context(silent=True))
    return _OWN_NAME if host is None else host.command


class DbOption(click.Option):
    """`--db`, which a host refuses, and shows its own option instead of."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return its line in the help: in a host that of the host's option, and only once."""
        host = host_of(ctx)
        if host is None:
            return super().get_help_record(ctx)
        return (host.option, host.says) if ctx.parent is None else None

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return what was typed.

        Raises UsageError if it was typed in a host.
        """
        host = host_of(ctx)
        source: Callable[[str], ParameterSource | None] = ctx.get_parameter_source
        if host is None:
            return super().process_value(ctx, value)
        if source(self.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(host.refusal, ctx)
        # A variable that names another ledger is that of cursor-ledger itself.
        return host.place if ctx.parent is None else None
