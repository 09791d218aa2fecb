"""What must hold between the log of the receiver and the ledger, whatever was killed and reset."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import attrs

from ledger import CursorAdvanced, CursorKey, CursorReset, Entry, ErrorRecorded, Ledger
from projections import Verdict, explain
from projections.explanation import How

__all__ = ["Arrival", "arrivals", "by_subject", "findings"]


@attrs.frozen
class Arrival:
    """One line of the receiver's log; both times are of the clock that the ledger has, too."""

    subject: str
    sequence: int
    delivery_id: str
    epoch: int
    began: float
    answer: str
    answered: float


def arrivals(log: Path) -> list[Arrival]:
    return [Arrival(**json.loads(line)) for line in log.read_text("utf-8").splitlines()]


def findings(book: Ledger, key: CursorKey, stream: list[int], came: list[Arrival]) -> Iterator[str]:
    """Yield each promise that was broken for the cursor of `key`; `came` is what it received."""
    entries = list(book.history(key))
    yield from _in_order(entries, stream)
    yield from _received_before_confirmed(entries, came)
    yield from _not_below_the_mark(entries, came)
    yield from _errors(entries, came)
    received = {arrival.sequence for arrival in came if arrival.answer == "204"}
    yield from (f"{key} {lost} was never received" for lost in stream if lost not in received)
    for sequence in stream:
        yield from _explained(entries, sequence, came)


def _in_order(entries: list[Entry], stream: list[int]) -> Iterator[str]:
    """Each epoch confirms the stream from where it began, with nothing left out."""
    at = 0
    for entry in entries:
        match entry.event:
            case CursorReset(sequence=sequence):
                at = sequence
            case CursorAdvanced(sequence=sequence):
                due = next((each for each in stream if each > at), None)
                if sequence != due:
                    yield f"{entry.key} version {entry.version}: at {at}, {sequence} for {due}"
                at = sequence


def _received_before_confirmed(entries: list[Entry], came: list[Arrival]) -> Iterator[str]:
    first: dict[tuple[int, int], float] = {}
    for arrival in came:
        if arrival.answer == "204":
            where = arrival.epoch, arrival.sequence
            first[where] = min(first.get(where, arrival.answered), arrival.answered)
    for entry in entries:
        if isinstance(entry.event, CursorAdvanced):
            answered = first.get((entry.epoch, entry.event.sequence))
            if answered is None or answered > entry.recorded_at.timestamp() + 1e-6:
                yield f"{entry.key} {entry.event.sequence} was confirmed before it was received"


def _not_below_the_mark(entries: list[Entry], came: list[Arrival]) -> Iterator[str]:
    """Nothing is delivered in an epoch below where it began, or once it is confirmed there."""
    start = {0: 0}
    confirmed: dict[tuple[int, int], float] = {}
    for entry in entries:
        match entry.event:
            case CursorReset(sequence=sequence):
                start[entry.epoch] = sequence
            case CursorAdvanced(sequence=sequence):
                confirmed[entry.epoch, sequence] = entry.recorded_at.timestamp()
    for each in came:
        if each.sequence <= start[each.epoch]:
            yield f"{each} is below the start of its epoch"
        if each.began > confirmed.get((each.epoch, each.sequence), float("inf")):
            yield f"{each} was delivered after it was confirmed"


def _errors(entries: list[Entry], came: list[Arrival]) -> Iterator[str]:
    """Each recorded refusal is one that the receiver made."""
    refused = Counter(str(each.sequence) for each in came if each.answer == "503")
    told = Counter(
        entry.metadata["sequence"]
        for entry in entries
        if isinstance(entry.event, ErrorRecorded) and entry.event.message.endswith("503")
    )
    for sequence, count in (told - refused).items():
        yield f"{entries[0].key} {sequence}: {count} refusals more than the receiver has"


def _explained(entries: list[Entry], sequence: int, came: list[Arrival]) -> Iterator[str]:
    """`explain` has a delivery in each epoch that received it, unless a reset cut it off."""
    explanation = explain(entries, sequence)
    landed = Counter(step.entry.epoch for step in explanation.steps if step.how is How.LANDED)
    received = {each.epoch for each in came if each.answer == "204" and each.sequence == sequence}
    cut_off = {
        entry.epoch - 1
        for entry in entries
        if isinstance(entry.event, CursorReset) and entry.event.previous_sequence < sequence
    }
    at_fault = (
        explanation.verdict is not Verdict.DELIVERED
        or explanation.pending
        or explanation.deliveries != len(landed)
        or set(landed.values()) != {1}
        or not landed.keys() <= received
        or not received - landed.keys() <= cut_off
    )
    if at_fault:
        yield f"{explanation}\n  but it was received in epochs {sorted(received)}"


def by_subject(came: list[Arrival]) -> dict[str, list[Arrival]]:
    """Return what each subject received."""
    sorted_out: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in came:
        sorted_out[arrival.subject].append(arrival)
    return sorted_out
