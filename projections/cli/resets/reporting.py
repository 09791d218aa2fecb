"""The report of resets for an auditor: as a table for spreadsheets, a page to print, or text."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import click

from ledger import Ledger, PolicyChange, files
from ledger.cli.process.hosts import command_name
from ledger.cli.shown.colours import without_colour
from ledger.cli.shown.sentences import say
from ledger.cli.shown.spreadsheets import write_csv
from ledger.cli.typed.target import Target
from ledger.log.text import show_time, visible
from projections.cli.resets.outcomes import effect_of, result_of
from projections.cli.resets.signatures import Auditor, approval_of, proof_of
from projections.resets.reports import ReportedReset, ResetReport, report_resets

__all__ = ["FORMATS", "check", "report"]

FORMATS = (".csv", ".html", ".txt")
_BOM = "\ufeff"

_COLUMNS = (
    *("position", "recorded_at", "consumer", "stream", "subject", "version", "from", "to"),
    *("effect", "result", "actor", "authenticated", "reason", "ticket", "planned_by"),
    *("proof", "signing_key"),
    *("approval", "approving_key", "missing", "against_policy", "plan", "digest"),
    *("checkpoint_entries", "checkpoint_root"),
)


def check(file: Path, *, bom: bool, target: Target) -> None:
    """Refuse a file whose form is not known, or that is not to be written. Raises UsageError."""
    if file.suffix not in FORMATS:
        raise click.UsageError(
            f"--report writes a file whose name ends in {', '.join(FORMATS)}: to a spreadsheet, to "
            "print, or to read."
        )
    if bom and file.suffix != ".csv":
        raise click.UsageError("--bom is for .csv.")
    files.check(file, ledger=target.file)


def report(
    book: Ledger,
    file: Path,
    auditor: Auditor,
    *,
    since: datetime | None,
    until: datetime | None,
    bom: bool,
) -> ResetReport:
    """Write the report of a period to a file, and say what there is in it."""
    made = report_resets(
        book, since=since, until=until, signers=auditor.signers, ledgers=auditor.signed_for
    )
    match file.suffix:
        case ".csv":
            text = (_BOM if bom else "") + _csv(made)
        case ".html":
            text = _page(made)
        case _:
            text = _text(made)
    files.write(file, text.encode())
    for line in _findings(made):
        say(line, err=True)
    say(f"the report of {_count(made)} is written to {visible(str(file))}", err=True)
    return made


def _findings(made: ResetReport) -> Iterator[str]:
    """Yield what is missing first, because that is what an auditor asks about."""
    for found, what in (
        (made.bad, "BAD SIGNATURE"),
        (made.against_policy, "AGAINST A POLICY"),
        (made.dropped, "POLICY DROPPED"),
        (made.incomplete, "signed for more cursors than were reset"),
        (made.without_ticket, "without a ticket"),
        (made.without_signature, "without a signature that is known"),
        (made.without_approval, "without an approval that is known"),
    ):
        if found:
            yield f"{what}: {len(found):,} of {len(made.resets):,}, at position {_positions(found)}"
    if made.resets and all(reset.signature is None for reset in made.resets):
        yield "nobody has looked at signatures: add --allowed-signers FILE"


def _positions(found: Sequence[ReportedReset]) -> str:
    shown = ", ".join(str(reset.position) for reset in found[:_POSITIONS_MAX])
    return f"{shown}, …" if len(found) > _POSITIONS_MAX else shown


_POSITIONS_MAX = 50


def _facts(made: ResetReport) -> list[tuple[str, str]]:
    checkpoint = made.checkpoint
    takeovers = (
        "; a takeover by a consumer moves nothing and is not listed"
        if made.takeovers == 1
        else f"; {made.takeovers:,} takeovers by consumers move nothing and are not listed"
    )
    return [
        (
            "period",
            f"{_moment(made.since, 'the first entry')} to {_moment(made.until, 'the last')}",
        ),
        ("made", show_time(made.taken_at)),
        ("ledger", visible(made.ledger) or "a file, which has no id"),
        ("resets", _count(made) + (takeovers if made.takeovers else "")),
        *((("policies", "; ".join(map(_change, made.policies))),) if made.policies else ()),
        ("with a ticket", f"{len(made.of_cursors) - len(made.without_ticket):,}"),
        ("authenticated", _authenticated(made)),
        ("signed", f"{len(made.of_cursors) - len(made.without_signature):,}"),
        ("approved", f"{len(made.of_cursors) - len(made.without_approval):,}"),
        ("checkpoint", f"{checkpoint.entries:,} entries, root {checkpoint.root.hex()}"),
        ("to prove one", f"{command_name()} proof POSITION --checkpoint FILE, which is signed"),
    ]


def _change(change: PolicyChange) -> str:
    done = "set" if change.in_force else "DROPPED"
    return visible(
        f"{change.policy} {done} by {change.actor} at {show_time(change.recorded_at)}, position "
        f"{change.position}: {change.reason}"
    )


def _moment(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else show_time(moment)


def _count(made: ResetReport) -> str:
    return "1 reset" if len(made.resets) == 1 else f"{len(made.resets):,} resets"


def _authenticated(made: ResetReport) -> str:
    count = sum(bool(reset.authenticated) for reset in made.of_cursors)
    return f"{count:,}" if made.notes_logins else "not known: nobody's login is noted here"


def _all_cells(made: ResetReport) -> Iterator[dict[str, Any]]:
    lacks = [
        (name, {reset.position for reset in without})
        for name, without in (
            ("ticket", made.without_ticket),
            ("signature", made.without_signature),
            ("approval", made.without_approval),
        )
    ]
    for reset in made.resets:
        missing = [name for name, positions in lacks if reset.position in positions]
        yield _cells(made, reset, missing)


def _cells(made: ResetReport, reset: ReportedReset, missing: Sequence[str]) -> dict[str, Any]:
    found, key = reset.signature, reset.key
    values = (
        *(reset.position, show_time(reset.recorded_at)),
        *(key.consumer_id, key.stream_name, key.subject_id, reset.version),
        *(reset.previous_sequence, reset.sequence),
        *(effect_of(reset.recorded), result_of(reset.recorded)),
        *(reset.actor, reset.authenticated),
        *(reset.reason, reset.ticket, reset.planned_by),
        "not verified" if found is None else without_colour(proof_of(found)),
        "" if found is None else found.by.key,
        "" if found is None else without_colour(approval_of(found)),
        "" if found is None or found.approval is None else found.approval.key,
        ", ".join(missing),
        ", ".join(str(each.policy) for each in reset.unmet),
        *(reset.plan, reset.digest.hex(), made.checkpoint.entries, made.checkpoint.root.hex()),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _csv(made: ResetReport) -> str:
    written = io.StringIO()
    write_csv(written, _all_cells(made), _COLUMNS, dict)
    return written.getvalue()


def _text(made: ResetReport) -> str:
    lines = ["Resets of cursors", ""]
    lines += [*_findings(made), ""]
    lines += [f"{name:<13}  {value}" for name, value in _facts(made)]
    for cells in _all_cells(made):
        lines.append("")
        lines += [f"{name:<14}  {_shown(cells[name])}" for name in _OF_EACH if cells[name] != ""]
    return "".join(f"{line}\n" for line in lines)


def _page(made: ResetReport) -> str:
    findings = "".join(f"<li>{escape(line)}</li>" for line in _findings(made))
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(made)
    )
    heading = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in _OF_EACH)
    rows = "".join(map(_row, _all_cells(made)))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Nothing in the page can load anything, or run.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Resets of cursors</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Resets of cursors</h1>\n<ul>{findings}</ul>\n<table>{facts}</table>\n"
        f'<table class="resets"><thead><tr>{heading}</tr></thead>\n<tbody>{rows}</tbody></table>\n'
        "</body>\n</html>\n"
    )


def _row(cells: dict[str, Any]) -> str:
    missing = ' class="missing"' if cells["missing"] else ""
    inner = "".join(f"<td>{escape(_shown(cells[name]))}</td>" for name in _OF_EACH)
    return f"<tr{missing}>{inner}</tr>\n"


def _shown(value: object) -> str:
    return visible(str(value))


# The checkpoint is that of the whole report.
_OF_EACH = _COLUMNS[:-2]

_STYLE = """
body { font: 10pt/1.35 sans-serif; margin: 1.5em; color: #000; background: #fff }
table { border-collapse: collapse; margin: 0 0 1.5em }
th, td { border: 1px solid #999; padding: .2em .4em; text-align: left; vertical-align: top }
th, td { overflow-wrap: anywhere }
.resets { font-size: 7pt; width: 100% }
.missing td { background: #fdeceb }
@page { size: A4 landscape; margin: 12mm }
@media print { body { margin: 0 } thead { display: table-header-group } tr { break-inside: avoid } }
"""
