"""The command that says all that matters of one cursor, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from ledger import CursorKey, CursorReset, Entry
from ledger.cli.shown.columns import show_time, with_metadata
from ledger.cli.shown.forms import Form, fitting, form_options, show, show_one
from ledger.cli.shown.layout import Kind, shortened
from ledger.cli.shown.paging import paged
from ledger.cli.shown.sentences import say
from ledger.cli.shown.short_times import Ages
from ledger.cli.shown.tables import Column, colour, print_table, terminal_width
from ledger.cli.typed.keys import cursor_arguments, key
from ledger.cli.typed.sources import Names
from ledger.cli.typed.target import Target, pass_target
from ledger.log.plain import unstructure
from ledger.log.text import visible
from projections.cli.events import users
from projections.cli.resets.printed_commands import to_ask
from projections.cli.rows import COLOURS, plain
from projections.description import LATE_MAX, Description, Spell, SpellKind
from projections.description import describe as describe_cursor
from projections.lag import LagState
from projections.ranges import span
from projections.undoing import undone_by

__all__ = ["describe"]

LABEL = 12
"""The width of what stands before each fact."""

LINES_MAX = 4
"""How many lines a fact takes at most."""


@click.command()
@cursor_arguments
@form_options
@pass_target
@click.pass_context
def describe(
    context: click.Context,
    target: Target,
    consumer: str,
    stream: str,
    subject: str,
    form: Form | None,
) -> None:
    """Describe one cursor: how it does, what happened to it of late, and what to ask next.

    Gaps, repeats and what it did are those of its last 5,000 entries, however many it has.
    """
    with target.open() as book:
        found = describe_cursor(book, key(consumer, stream, subject))
        now, names = book.now(), Names(book)
        commands = [said for said in _commands(context, found) if said]
        match fitting(form):
            case Form.TABLE | Form.WIDE as chosen:
                width = terminal_width() if chosen is Form.TABLE else None
                with paged():
                    for label, said, colour_name in _facts(found, names, now):
                        _print_fact(label, said, colour_name, width)
                    click.echo("lately")
                    print_table(iter(found.spells), _SPELLS, "", width)
                    click.echo("next")
                    for command in commands:
                        click.echo(f"  {command}")
            case Form.CSV:
                show(found.spells, _SPELLS, form, of=[Spell])
            case _:
                show_one(found, [], form, plain=lambda each: _plain(each, commands), names=names)


def _plain(found: Description, commands: list[str]) -> dict[str, Any]:
    said = unstructure(found)
    late = {name: said[name] for name in said if name != "overview"}
    return {**plain(found.overview), **late, "next": commands}


def _print_fact(label: str, said: str, colour_name: str, width: int | None) -> None:
    text = visible(said)
    if not label:
        click.echo(text)
        return
    if width is not None:
        # An error may be a page long; --wide shows all of it.
        text = shortened(text, LINES_MAX * max(width - LABEL - 2, 1), Kind.TEXT)
    say(f"{label.ljust(LABEL)}{colour(text, colour_name)}", indent=2, hanging=LABEL)


# --- what is said ---


def _facts(found: Description, names: Names, now: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield each fact: its label, its text, and its colour."""
    row = found.overview
    cursor, lag = row.cursor, row.lag
    yield "", str(cursor.key), ""
    at = names.with_it(cursor.key, cursor.last_sequence, cursor.last_delivery_id)
    delivery = f", {cursor.last_delivery_id}" if cursor.last_delivery_id else ""
    yield "at", f"{at}{delivery}; version {cursor.version:,}, epoch {cursor.epoch:,}", ""
    yield "moved", _when(row.moved_at, now), ""
    yield "state", _state(found), COLOURS.get(row.state, "")
    if lag.errors:
        yield "error", lag.last_error, "red"
    if lag.head is not None:
        behind = f", {lag.behind:,} further" if lag.behind else ""
        since = f", past it since {show_time(lag.since)}" if lag.since else ""
        again = _reset_back(found)
        if again is not None and lag.behind:
            since += f", to deliver again since {show_time(again.recorded_at)}"
        yield "head", f"{names.with_it(cursor.key, lag.head)}{behind}{since}", ""
    for entry in found.resets:
        yield "reset", f"{show_time(entry.recorded_at)} {_reset(entry)}", "yellow"
    if found.takeover is not None:
        yield "taken over", f"{show_time(found.takeover.recorded_at)} {_by(found.takeover)}", ""
    late = f"the last {found.entries:,} entries" if found.entries == LATE_MAX else "all its entries"
    yield "gaps", _ranges([(gap.first, gap.last) for gap in found.gaps], late), ""
    yield "repeats", _ranges([(each.first, each.last) for each in found.repeats], late), ""


def _when(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{Ages(now)(moment)}, {show_time(moment)}"


def _state(found: Description) -> str:
    lag = found.overview.lag
    if lag.state is LagState.FAILING:
        since = f" since {show_time(found.failing_since)}" if found.failing_since else ""
        return f"failing {lag.errors:,}×{since}"
    if lag.state is LagState.STALLED:
        # Since it has stood where it stands, with something behind it.
        times = [each for each in (found.overview.moved_at, lag.since) if each is not None]
        return f"stalled since {show_time(max(times))}" if times else "stalled"
    return {LagState.NO_HEAD: "no head is recorded", LagState.AHEAD: "ahead of the head"}.get(
        lag.state, lag.state.value
    )


def _reset(entry: Entry) -> str:
    event = entry.event
    assert isinstance(event, CursorReset)  # noqa: S101 - nothing else was asked for
    return f"{event.previous_sequence} → {event.sequence} {_by(entry)}"


def _by(entry: Entry) -> str:
    reason = entry.event.reason if isinstance(entry.event, CursorReset) else ""
    return f"by {entry.actor}: {with_metadata(reason, users(entry.metadata))}"


def _ranges(found: list[tuple[int, int]], late: str) -> str:
    if not found:
        return f"none in {late}"
    return f"{len(found):,} in {late}, the highest: {span(*found[-1])}"


# --- what it did ---


def _did(spell: Spell) -> str:
    match spell.kind:
        case SpellKind.ADVANCE:
            move = f"{spell.start} → {spell.end}" if spell.start != spell.end else f"{spell.end}"
            return f"advance {move}"
        case SpellKind.ERRORS:
            return colour(f"failed {spell.entries:,}×", "red")
        case SpellKind.RESET:
            return colour(f"reset {spell.start} → {spell.end}", "yellow")
        case SpellKind.TAKEOVER:
            return colour(f"taken over at {spell.end}", "yellow")
        case SpellKind.START:
            return colour(f"started at {spell.end}", "yellow")


def _about(spell: Spell) -> str:
    if spell.kind is SpellKind.ADVANCE:
        count = f"{spell.entries:,} entries" if spell.entries > 1 else ""
        return " ".join(part for part in (count, spell.text) if part)
    if spell.kind is SpellKind.ERRORS:
        return visible(spell.text)
    return visible(f"by {spell.actor}: {spell.text}")


_SPELLS = [
    Column("from", lambda spell: spell.first_at, kind=Kind.TIME, spared=1),
    Column("until", lambda spell: spell.last_at, kind=Kind.TIME),
    Column("event", _did, kind=Kind.WORDS),
    Column("detail", _about),
]


# --- what to ask next ---


def _commands(context: click.Context, found: Description) -> Iterator[str | None]:
    """Yield the commands that say more, those first that are about what is wrong."""
    cursor = found.overview.cursor
    names = _names(cursor.key)
    if found.overview.state in {LagState.FAILING, LagState.STALLED, LagState.BEHIND}:
        coming = str(cursor.last_sequence + 1)
        yield to_ask(context, "explain", [*names, coming])
    if _can_be_undone(found):
        yield to_ask(context, "reset", names, "--undo")
    if found.gaps:
        yield to_ask(context, "gaps", names)
    if found.repeats:
        yield to_ask(context, "repeats", names)
    if found.overview.lag.head is None:
        yield to_ask(context, "heads", names[1:])
    yield to_ask(context, "history", names, "--newest-first", "--limit", "20")
    yield to_ask(context, "events", names[1:], "--newest-first", "--limit", "20")
    yield to_ask(context, "watch", names)


def _can_be_undone(found: Description) -> bool:
    """Return whether the last reset went back, and the cursor has not been there again since."""
    last = _reset_back(found)
    return last is not None and undone_by(last) is None


def _reset_back(found: Description) -> Entry | None:
    """Return the last reset, if the cursor was further before it than it is now."""
    last = next(iter(found.resets), None)
    if last is None or not isinstance(last.event, CursorReset):
        return None
    is_back = found.overview.cursor.last_sequence < last.event.previous_sequence
    return last if is_back else None


def _names(of: CursorKey) -> list[str]:
    return [name for name in (of.consumer_id, of.stream_name, of.subject_id) if name]
