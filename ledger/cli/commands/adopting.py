"""The command that starts cursors from what another system keeps about positions."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import attrs
import click

from ledger import targets
from ledger.cli.commands.verdicts import COLUMNS, FIELDS, plain
from ledger.cli.parameters import files
from ledger.cli.process.exits import EXIT_NOT_VERIFIED, EXIT_REFUSED
from ledger.cli.process.interrupts import Watch
from ledger.cli.process.streams import flush_output
from ledger.cli.shown.forms import Form, form_options, show
from ledger.cli.shown.progress import Progress
from ledger.cli.shown.sentences import say
from ledger.cli.typed.options import actor_option, metadata_option
from ledger.cli.typed.target import Target, pass_target
from ledger.errors import BrokenChainError, InvalidCursorError
from ledger.exchange.adopting import Adoption, State, Verdict
from ledger.exchange.rows import Reading
from ledger.exchange.sources import Format, reading
from ledger.exchange.staging import Staging, staging
from ledger.log.text import visible
from ledger.service import Ledger

__all__ = ["adopt"]


def _templates(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which columns name a cursor, and where it stands."""
    for field, text in reversed(_TEMPLATES.items()):
        option = click.option(f"--{field.replace('_', '-')}", field, metavar="TEMPLATE", help=text)
        command = option(command)
    return command


_TEMPLATES = {
    "consumer": "The consumer of each row: a text, with {column} for a column of the source.",
    "stream": "The stream of each row.",
    "subject": "The subject of each row.",
    "sequence": "The sequence of each row.",
    "delivery_id": "The delivery id of each row.",
    "delivered_at": "When that delivery was made.",
}
_FIELDS = {"consumer": "consumer_id", "stream": "stream_name", "subject": "subject_id"}


@click.command()
@click.argument("source", shell_complete=files)
@click.option(
    "--sql",
    "query",
    metavar="SELECT",
    help="Read what this selects from the database SOURCE, and not its table notification_cursors.",
)
@click.option(
    "--format",
    "text_form",
    type=click.Choice([str(form) for form in Format]),
    help="How the text SOURCE is written, if not as it looks.",
)
@click.option(
    "--path",
    "json_path",
    default="",
    metavar="NAME.NAME",
    help="Where the records are in JSON: names with dots between them, and * for every member.",
)
@_templates
@click.option("--reason", help="Why; kept for ever.  By default, where they were adopted from.")
@click.option("--execute", is_flag=True, help="Start them. Without this, nothing is changed.")
@click.option(
    "--expect-digest",
    metavar="DIGEST",
    help="Refuse unless the source has what it had when this digest was printed.",
)
@actor_option
@metadata_option
@form_options
@pass_target
@click.pass_context
def adopt(
    context: click.Context,
    target: Target,
    /,
    source: str,
    query: str | None,
    text_form: str | None,
    json_path: str,
    reason: str | None,
    execute: bool,
    expect_digest: str | None,
    actor: str | None,
    metadata: dict[str, str],
    form: Form | None,
    **templates: str | None,
) -> None:
    """Plan to start cursors where another system has them; with --execute, start them.

    SOURCE is a file, - for standard input, or a postgresql:// URL: what kafka-consumer-groups
    exports (CSV) or describes (a table), JSON with an object for each cursor, or a database. A
    query selects the columns consumer_id, stream_name, subject_id and sequence.

    Cursors that exist are never changed, so the same command can be repeated. If a row is refused,
    or its cursor stands somewhere else, the others are started, and the exit code is 3.
    """
    progress = Progress()
    with staging() as staged:
        opened = reading(
            source,
            query=query,
            form=None if text_form is None else Format(text_form),
            path=json_path,
            busy_timeout_s=target.busy_timeout_s,
        )
        try:
            with _named_as_typed(source):
                place = _read(staged, opened, templates, progress)
        finally:
            progress.clear()
        adoption = Adoption(
            staging=staged,
            reason=f"adopted from {place}" if reason is None else reason,
            metadata=metadata,
        )
        digest = adoption.digest
        if expect_digest is not None and expect_digest.lower() != digest:
            say(
                f"cursor-ledger: the source has changed since it was looked at: its digest is "
                f"{digest}, and not what was expected. Nothing was started. Look at it again "
                "without --execute.",
                err=True,
            )
            context.exit(EXIT_REFUSED)
        tally = _Tally(Watch.of(context), progress)
        if execute:
            with target.open(actor=actor, make=True) as book:
                _execute(adoption, book, tally, form)
        else:
            with ExitStack() as stack:
                book_there = target.open_if_there()
                if book_there is None:
                    place = visible(targets.shown(target.path))
                    say(f"{place} holds no ledger yet; --execute makes one.", err=True)
                else:
                    stack.enter_context(book_there)
                _show(adoption.plan(book_there), tally, form)
        tally.say(digest, executed=execute)
        context.exit(tally.code)


@attrs.define
class _Tally:
    """What became of the rows so far: what the user is told, whatever happens."""

    watch: Watch
    progress: Progress
    counts: Counter[State] = attrs.field(factory=Counter)
    damaged: bool = False

    def count(self, verdict: Verdict) -> None:
        """Note what became of a row."""
        self.counts[verdict.state] += 1
        self.damaged |= isinstance(verdict.error, BrokenChainError)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.damaged:
            return EXIT_NOT_VERIFIED
        return EXIT_REFUSED if self.counts[State.REFUSED] or self.counts[State.DIFFERS] else 0

    def said(self) -> str:
        """Return how many rows have each outcome, in words."""
        return ", ".join(
            f"{self.counts[state]:,} {word}" for state, word in _WORDS.items() if self.counts[state]
        )

    def say(self, digest: str, *, executed: bool) -> None:
        """Print the outcome at the end, and how to go on."""
        said = self.said() or "the source has no cursors"
        if executed:
            say(said, err=True)
            return
        say(f"{said}. Nothing was changed.", err=True)
        if self.counts[State.NEW]:
            say(
                f"To start exactly these, run it again with\n  --execute --expect-digest {digest}",
                err=True,
            )


_WORDS = {
    State.NEW: "new",
    State.STARTED: "started",
    State.THERE: "there already",
    State.MOVED_ON: "started before, and moved since",
    State.REPEATED: "repeated",
    State.NOTHING: "without a position",
    State.DIFFERS: "standing somewhere else",
    State.REFUSED: "refused",
}


def _read(
    staged: Staging,
    opened: AbstractContextManager[Reading],
    templates: dict[str, str | None],
    progress: Progress,
) -> str:
    """Read the source to its end; return its place."""
    texts = {_FIELDS.get(option, option): text for option, text in templates.items()}
    with opened as rows:
        staged.read(
            rows,
            rows.names.but(**texts),
            lambda done: progress.say(f"{done:,} {rows.unit}s read"),
        )
        return rows.place


@contextmanager
def _named_as_typed(source: str) -> Iterator[None]:
    """Refuse a source that cannot be opened under the name that the command has for it."""
    try:
        yield
    except InvalidCursorError as error:
        if error.field != "target":
            raise
        raise InvalidCursorError(f"SOURCE {error.problem}") from None
    except OSError as error:
        if error.filename != source:
            raise
        raise click.BadParameter(
            f"{click.format_filename(source)}: {error.strerror}.", param_hint="SOURCE"
        ) from None


def _execute(adoption: Adoption, book: Ledger, tally: _Tally, form: Form | None) -> None:
    """Start the cursors, and show what became of each row."""

    def verdicts() -> Iterator[Verdict]:
        for batch in adoption.execute(book):
            yield from batch
            tally.watch.settled()

    try:
        _show(verdicts(), tally, form)
        flush_output()
    except BaseException:
        tally.progress.clear()
        tally.watch.told = True
        say(
            f"stopped: {tally.counts[State.STARTED]:,} started, and perhaps some more that are not "
            "listed. Run the same command again: it starts those that are missing.",
            err=True,
        )
        raise


def _show(verdicts: Iterator[Verdict], tally: _Tally, form: Form | None) -> None:
    """Show what becomes of each row, and count it."""
    # Rows on a terminal are progress enough, and would be written into that line.
    told = not sys.stdout.isatty()

    def counted() -> Iterator[Verdict]:
        for verdict in verdicts:
            tally.count(verdict)
            yield verdict
            if told:
                tally.progress.say(f"{tally.counts.total():,} rows done")

    show(counted(), COLUMNS, form, of=FIELDS, plain=plain, none="")
    tally.progress.clear()
