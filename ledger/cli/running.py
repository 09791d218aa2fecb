"""How a command is run: what it says when it fails, and the code that it exits with."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Abort, Exit, NoArgsIsHelpError

from ledger import errors, targets
from ledger.cli.listing import Loaded, Section
from ledger.cli.process import streams
from ledger.cli.process.exits import (
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
from ledger.cli.process.hosts import command_name
from ledger.cli.process.interrupts import Watch
from ledger.cli.shown.sentences import fitted, say
from ledger.cli.typed.target import Target, innermost
from ledger.law.refusals import CursorNotFoundError
from ledger.log.text import visible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Commands"]

# How a shell asks for completions.
_COMPLETE = "_CURSOR_LEDGER_COMPLETE"
_TRACEBACK = "CURSOR_LEDGER_TRACEBACK"

_EXITS = (
    (errors.LedgerBusyError, EXIT_BUSY),
    (errors.StorageError, EXIT_FAILED),
    (errors.BrokenChainError, EXIT_NOT_VERIFIED),
    (errors.UnprovenError, EXIT_NOT_VERIFIED),
    (CursorNotFoundError, EXIT_NO_CURSOR),
    (errors.InvalidCursorError, EXIT_USAGE),
    (errors.LedgerError, EXIT_REFUSED),
)


class Commands(click.Group):
    """A group whose commands fail with the message of the error, and the exit code of its kind."""

    commands: Loaded
    questions: Mapping[str, str]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes, and last, where the eye is, which command answers what."""
        super().format_epilog(ctx, formatter)
        rows = [(asked, f"{command_name()} {words}") for asked, words in self.questions.items()]
        if rows:
            with formatter.section("Questions"):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, by section."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for, without importing it."""
        del ctx
        listed = self.commands.listed.values()
        wide = max(map(len, self.commands))
        for section in Section:
            rows = [
                (each.name.ljust(wide), each.says) for each in listed if each.section is section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing it, or an option."""
        # Only a shell asks for it.
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(each.name, help=each.says)
            for each in self.commands.listed.values()
            if each.name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, or complete a word for a shell."""
        if _COMPLETE in os.environ:
            # Only a shell asks for it.
            from ledger.cli.typed.completion import prepare

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
            if watch.nothing_found:
                _say_near(ctx)
            streams.flush_output()
            return code
        except KeyboardInterrupt:
            return _interrupted(watch)
        except errors.LedgerError as error:
            # Only a refusal needs them.
            from ledger.cli.typed import names, near
            from ledger.cli.wording import as_typed

            said = as_typed(error, innermost(ctx))
            if isinstance(error, CursorNotFoundError) and isinstance(ctx.obj, Target):
                said += names.suggestion(ctx.obj.open, error.key) or near.because_of_filters(ctx)
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


def _say_near(context: click.Context) -> None:
    """Print which filters match no cursor, and what they may have meant."""
    # Only a result that is empty needs it.
    from ledger.cli.typed import near

    streams.flush_output()
    for sentence in near.filters_near(context):
        say(sentence, err=True)


def _interrupted(watch: Watch) -> int:
    """Print once what was appended; return the exit code."""
    if watch.writes and not watch.told:
        _say(f"interrupted; {watch.account}.")
        watch.told = True
    return EXIT_INTERRUPTED


def _not_written(error: OSError, watch: Watch) -> int:
    """Print that input or output failed, and what was appended; return the exit code."""
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
    """Print that the program has a bug, and how to report it; return the exit code.

    An error that an interrupt has caused is not a bug: an interrupt that comes while a lock is
    awaited leaves that lock to others, so that `threading` fails when it releases the lock.
    """
    import traceback

    from ledger import __version__

    if os.environ.get(_TRACEBACK):
        traceback.print_exception(error)
    if _came_of_an_interrupt(error):
        return _interrupted(watch)
    account = f" {watch.account.capitalize()}." if watch.writes and not watch.told else ""
    _say(
        f"this is a bug in cursor-ledger (version {__version__}): "
        f"{type(error).__name__}: {targets.shown(str(error))[:500]}.{account} Please report it, "
        f"with the command and what {_TRACEBACK}=1 in front of it prints."
    )
    return EXIT_BUG


def _came_of_an_interrupt(error: BaseException) -> bool:
    while error.__context__ is not None:
        error = error.__context__
        if isinstance(error, KeyboardInterrupt):
            return True
    return False


def _say(text: str) -> None:
    say(f"cursor-ledger: {visible(text)}", err=True, hanging=2)


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
    """Return a refusal of click's as it can be shown: it repeats what was typed, in long lines."""
    # The help of a group that was typed without a command: click has laid out its lines.
    if isinstance(error, NoArgsIsHelpError):
        return error
    said = error.format_message()
    if isinstance(error, click.NoSuchOption) or said.startswith(
        ("No such command ", "Got unexpected extra argument")
    ):
        # Only a refusal needs it.
        from ledger.cli import mistyped

        if isinstance(error, click.UsageError) and (better := mistyped.meant(error)):
            text = fitted(targets.shown(better), before="Error: ")
            return click.UsageError(text, ctx=error.ctx)
    if isinstance(error, click.BadParameter):
        from ledger.cli.typed import near

        if meant := near.choice_near(error):
            text = fitted(targets.shown(said + meant), before="Error: ")
            return click.UsageError(text, ctx=error.ctx)
    text = fitted(targets.shown(said), before="Error: ")
    if text == said:
        return error
    if isinstance(error, click.UsageError):
        return click.UsageError(text, ctx=error.ctx)
    return click.ClickException(text)
