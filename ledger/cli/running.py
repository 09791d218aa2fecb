"""How a command is run: what it says when it fails, and the code that it exits with."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import click
from click.exceptions import Abort, Exit

from ledger import errors, targets
from ledger.cli import names, streams
from ledger.cli.exits import (
    EXIT_BUG,
    EXIT_BUSY,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_NO_CURSOR,
    EXIT_NOT_VERIFIED,
    EXIT_REFUSED,
    EXIT_UNTOLD,
    EXIT_USAGE,
)
from ledger.cli.interrupts import Watch
from ledger.cli.target import Target, innermost
from ledger.cli.wording import as_typed
from ledger.law.refusals import CursorNotFoundError
from ledger.log.text import visible

__all__ = ["Commands"]

# How a shell asks for completions.
_COMPLETE = "_CURSOR_LEDGER_COMPLETE"
_TRACEBACK = "CURSOR_LEDGER_TRACEBACK"

_EXITS = (
    (errors.LedgerBusyError, EXIT_BUSY),
    (errors.StorageError, EXIT_FAILED),
    (errors.BrokenChainError, EXIT_NOT_VERIFIED),
    (CursorNotFoundError, EXIT_NO_CURSOR),
    (errors.InvalidCursorError, EXIT_USAGE),
    (errors.LedgerError, EXIT_REFUSED),
)


class Commands(click.Group):
    """A group whose commands fail with the message of the error, and the exit code of its kind."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, or complete a word for a shell."""
        if _COMPLETE in os.environ:
            # Only a shell asks for it.
            from ledger.cli.completion import prepare

            prepare()
        if not kwargs.get("standalone_mode", True):
            return super().main(*args, **kwargs)
        with streams.ready():
            try:
                return super().main(*args, **kwargs)
            # Before any command runs, while the help is printed.
            except OSError as error:
                sys.exit(_not_written(error, Watch()))
            except Exception as error:  # noqa: BLE001 - as behind it
                sys.exit(_mistaken(error, Watch()))

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **kwargs: Any
    ) -> click.Context:
        """Read the options of the program."""
        try:
            _check_text(args)
            return super().make_context(info_name, args, *rest, **kwargs)
        except click.ClickException as error:
            raise _showable(error) from None
        except KeyboardInterrupt:
            # By default click says "Aborted!", and exits with 1.
            raise Exit(EXIT_INTERRUPTED) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        watch = Watch.of(ctx)
        try:
            with watch.listening():
                code = self._run(ctx, watch)
                if watch.asked and not code:
                    _say(f"the interrupt came too late: {watch.account}.")
                    code = EXIT_INTERRUPTED
        except KeyboardInterrupt:
            # A second one, while the first is handled: click would say "Aborted!", and exit with 1.
            code = _interrupted(watch)
        ctx.exit(code)

    def _run(self, ctx: click.Context, watch: Watch) -> int:
        """Run the command; return its exit code."""
        try:
            code = 0
            try:
                super().invoke(ctx)
            except Exit as end:
                code = end.exit_code
            streams.flush_output()
            return code
        except KeyboardInterrupt:
            return _interrupted(watch)
        except errors.LedgerError as error:
            said = as_typed(error, innermost(ctx))
            if isinstance(error, CursorNotFoundError) and isinstance(ctx.obj, Target):
                said += names.suggestion(ctx.obj.open, error.key)
            _say(said)
            return next(code for kind, code in _EXITS if isinstance(error, kind))
        except click.ClickException as error:
            raise _showable(error) from None
        except Abort:
            raise
        except OSError as error:
            return _not_written(error, watch)
        except Exception as error:  # noqa: BLE001 - a bug of ours, whatever it is
            return _mistaken(error, watch)


def _interrupted(watch: Watch) -> int:
    """Say once what was appended; return the exit code."""
    if watch.writes and not watch.told:
        _say(f"interrupted; {watch.account}.")
        watch.told = True
    return EXIT_INTERRUPTED


def _not_written(error: OSError, watch: Watch) -> int:
    """Say that input or output failed, and what was appended; return the exit code."""
    streams.abandon_output()
    place = f"{targets.shown(error.filename)}: " if isinstance(error.filename, str) else ""
    failed = f"input or output failed: {place}{error.strerror or error}."
    if watch.commits or watch.unknown:
        _say(failed if watch.told else f"{watch.account}, but {failed}")
        return EXIT_UNTOLD
    # The reader of a pipe has read enough.
    if error.errno != errno.EPIPE:
        _say(failed)
    return EXIT_FAILED


def _mistaken(error: Exception, watch: Watch) -> int:
    """Say that the program has a bug, and how to report it; return the exit code."""
    # Imported here, because it takes longer than the whole of click.
    from importlib.metadata import version

    if os.environ.get(_TRACEBACK):
        traceback.print_exception(error)
    account = f" {watch.account.capitalize()}." if watch.writes and not watch.told else ""
    _say(
        f"this is a bug in cursor-ledger (version {version('cursor-ledger')}): "
        f"{type(error).__name__}: {targets.shown(str(error))[:500]}.{account} Please report it, "
        f"with the command and what {_TRACEBACK}=1 in front of it prints."
    )
    return EXIT_BUG


def _say(text: str) -> None:
    click.echo(f"cursor-ledger: {visible(text)}", err=True)


def _check_text(typed: list[str]) -> None:
    """Refuse what no shell can hand over, but a program that calls this one can."""
    for argument in typed:
        try:
            given = os.fsencode(argument)
        except UnicodeEncodeError:
            given = b"\0"
        if b"\0" in given:
            raise click.UsageError("An argument has a NUL or a lone surrogate in it.")


def _showable(error: click.ClickException) -> click.ClickException:
    """Return a refusal of click's, which repeats what was typed, without a password in it."""
    said = error.format_message()
    if targets.shown(said) == said:
        return error
    if isinstance(error, click.UsageError):
        return click.UsageError(targets.shown(said), ctx=error.ctx)
    return click.ClickException(targets.shown(said))
