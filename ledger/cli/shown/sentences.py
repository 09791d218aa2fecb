"""Sentences on a terminal: a line ends between words, and a command to copy stays on one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ledger.cli.process.hosts import command_name

__all__ = ["fitted", "say", "wrapped"]


def say(text: str, *, err: bool = False, indent: int = 0, hanging: int = 0) -> None:
    """Print a sentence; on a terminal, in lines that fit it.

    Lines begin with `indent` blanks, those after the first with `hanging` more.
    """
    stream = sys.stderr if err else sys.stdout
    width = _columns() if stream.isatty() else 0
    first = " " * indent
    for part in text.split("\n"):
        # What stands on lines of its own is there to be copied.
        whole = not width or part.startswith("  ")
        for line in [part] if whole else wrapped(part, width - indent, hanging):
            click.echo(first + line, err=err)


def fitted(text: str, *, before: str = "") -> str:
    """Return what standard error shows behind `before`: on a terminal, in lines that fit it."""
    if not sys.stderr.isatty():
        return text
    width = _columns()
    lines = (before + text).split("\n")
    return "\n".join(short for line in lines for short in wrapped(line, width))[len(before) :]


def _columns() -> int:
    # Imported here, because only a terminal needs it, and it takes 2 ms.
    import shutil

    return shutil.get_terminal_size().columns


def wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    """Return the lines of `text` that fit `width`; those after the first begin with blanks.

    A word that is longer than a line is not broken, because it may be copied.
    """
    # Imported here, because only a terminal has a width.
    from ledger.cli.shown.layout import width_of

    lines: list[str] = []
    line = ""
    for piece in _pieces(text, width - hanging):
        longer = f"{line} {piece}" if line.strip() else line + piece
        if line.strip() and width_of(click.unstyle(longer)) > width:
            lines.append(line.rstrip())
            # Two blanks between parts are none at the beginning of a line.
            line = " " * hanging + piece
        else:
            line = longer
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def _pieces(text: str, width: int) -> Iterator[str]:
    """Yield the words of `text`, and a command as one, from its name to the next mark."""
    from ledger.cli.shown.layout import width_of

    words = text.split(" ")
    name = command_name().split(" ")
    own = len(name)
    while words:
        count = 1
        begun = [words[0].lstrip("("), *words[1:own]] == name
        if begun and len(words) > own and words[own][:1].isalpha():
            ends = (n for n, word in enumerate(words, 1) if n > own and word[-1:] in ".;,:)")
            command = next(ends, len(words))
            count = command if width_of(" ".join(words[:command])) <= width else 1
        yield " ".join(words[:count])
        words = words[count:]
