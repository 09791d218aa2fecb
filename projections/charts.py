"""Timelines, drawn: in a file that opens offline, or on a terminal. Needs the extra `timeline`."""

from __future__ import annotations

import os
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from ledger import InvalidCursorError, LedgerError, files
from ledger.log.text import show_time, visible
from projections.given import check_kind
from projections.timeline import MarkKind, Point, Timeline, TimelineMark

__all__ = ["FORMATS", "ChartLibraryMissingError", "draw", "draw_on_terminal"]

_MADE = "timeline(book.history(key))"
FORMATS = ("html", "svg", "png")
LABELS_MAX = 20
WIDTH, HEIGHT = 1_000, 460
TWO_TIMES, THREE_TIMES = 30, 48
"""The columns that an axis on a terminal has for so many times of 16 characters below it."""

_COLOURS = {
    "sequence": "#1f5fbf",
    MarkKind.RESET: "#b8860b",
    MarkKind.ERRORS: "#c0392b",
    MarkKind.REPEAT: "#e8a33d",
    MarkKind.JUMP: "#7d3c98",
    MarkKind.START: "#1e8449",
    MarkKind.TAKEOVER: "#566573",
}


class ChartLibraryMissingError(LedgerError):
    """The libraries that draw are not installed.

    >>> import ledger
    >>> from projections import ChartLibraryMissingError
    >>> issubclass(ChartLibraryMissingError, ledger.LedgerError)
    True
    """


def draw(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Draw `timeline` into the file at `path`, which ends in .html, .svg or .png.

    Only its owner may read the file, and it is written whole or not at all. A database, and
    anything but a plain file, is never overwritten. The page has all that it needs in it:
    it opens offline, zooms, and says what is under the pointer.

    Raises InvalidCursorError, ChartLibraryMissingError, OSError.

    >>> import pathlib, tempfile
    >>> import ledger
    >>> from projections import draw, timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     life = timeline(book.history(key))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw(life, f"{folder}/orders.svg")
    ...     pathlib.Path(folder, "orders.svg").read_text("utf-8").startswith("<svg")
    True
    """
    check_kind("timeline", timeline, Timeline, _MADE)
    form = Path(path).suffix.removeprefix(".").lower()
    if form not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise InvalidCursorError(f"{os.fspath(path)!r:.200} must end in one of {known}.")
    files.check(path)
    files.write(path, _drawn(timeline, form))


def _drawn(timeline: Timeline, form: str) -> bytes:
    drawn = _chart(timeline)
    renderer = _library("vl_convert")
    if form == "png":
        return bytes(renderer.vegalite_to_png(drawn, scale=2))
    if form == "svg":
        text = renderer.vegalite_to_svg(drawn)
    else:
        # The page holds the specification in a script, and the renderer does not prevent that text
        # from the log ends this script. JavaScript reads \u003c in a string as "<".
        page = renderer.vegalite_to_html(drawn.replace("<", _LESS_THAN), bundle=True)
        text = page.replace(_LESS_THAN, r"\u003c")
    return str(text).encode()


_LESS_THAN = "\ue000"  # Of the private use area: it means nothing to anybody in between.


def draw_on_terminal(timeline: Timeline, *, width: int, height: int) -> str:
    """Return `timeline` as lines of text without colours, in so many columns and rows.

    A reset is marked R where it leads to, errors E, a jump J, a start S and a takeover T.

    `width` and `height` are the columns and rows.

    Raises ChartLibraryMissingError.

    >>> import ledger
    >>> from projections import draw_on_terminal, timeline
    >>> key = ledger.CursorKey("webhooks", "orders")
    >>> with ledger.open(":memory:", actor="ines") as book:
    ...     cursors = [book.advance(key, to=to) for to in (41, 44)]
    ...     cursor = book.reset(key, to=41, reason="receiver lost 42 and 43")
    ...     life = timeline(book.history(key))
    >>> drawn = draw_on_terminal(life, width=60, height=12)
    >>> max(len(line) for line in drawn.splitlines()) <= 60
    True
    """
    check_kind("timeline", timeline, Timeline, _MADE)
    plot = _library("plotext")
    points = timeline.points
    start = points[0].at
    times = [(point.at - start).total_seconds() for point in points]
    # The cursor keeps its sequence until the next entry: the line goes along, then up.
    steps = list(zip(times[1:], [point.sequence for point in points], strict=False))
    corners = [(times[0], points[0].sequence)]
    for (time, before), point in zip(steps, points[1:], strict=True):
        corners += [(time, before), (time, point.sequence)]
    plot.clear_figure()
    plot.theme("clear")
    plot.plotsize(width, height)
    plot.plot([float(time) for time, _ in corners], [float(sequence) for _, sequence in corners])
    for kind, letter in _LETTERS.items():
        places = [
            ((_seen_at(timeline, mark) - start).total_seconds(), float(mark.to))
            for mark in timeline.marks
            if mark.kind is kind
        ]
        if places:
            plot.scatter(*map(list, zip(*places, strict=True)), marker=letter)
    sequences = {point.sequence for point in points}
    levels = sorted({min(sequences), max(sequences)})
    plot.yticks([float(level) for level in levels], [str(level) for level in levels])
    first, last = len(str(levels[-1])) + 1, width - 2
    labels = _labels(start, points[-1].at, first, last)
    # plotext moves labels, or leaves them out, in the order of a set: what is drawn would depend
    # on PYTHONHASHSEED. It draws the ticks, and the labels are written here.
    span = last - first
    plot.xticks([times[-1] * (column - first) / span for column in labels], [""] * len(labels))
    *lines, _ = plot.uncolorize(plot.build()).splitlines()
    below = ""
    for column, label in labels.items():
        left = min(max(column - len(label) // 2, 0), width - len(label))
        below = below.ljust(left) + label
    return "\n".join(line.rstrip() for line in (*lines, below))


def _labels(start: datetime, end: datetime, first: int, last: int) -> dict[int, str]:
    """Return what to write under which columns, from `first` to `last`, as far as there is room."""
    middle = (first + last) // 2
    columns = {first: start, middle: start + (end - start) / 2, last: end}
    if start == end or last - first < TWO_TIMES:
        columns = {first: start}
    elif last - first < THREE_TIMES:
        columns = {first: start, last: end}
    return {column: moment.strftime("%Y-%m-%d %H:%M") for column, moment in columns.items()}


_LETTERS = {
    MarkKind.TAKEOVER: "T",
    MarkKind.JUMP: "J",
    MarkKind.ERRORS: "E",
    MarkKind.RESET: "R",
    MarkKind.START: "S",
}
"""Of two at one place, the later one is seen."""


def _chart(timeline: Timeline) -> str:
    """Return the chart as a Vega-Lite specification."""
    altair = _library("altair")
    altair.data_transformers.disable_max_rows()
    zoom = altair.selection_interval(bind="scales")
    places = altair.Data(values=[_point(point) for point in timeline.points])
    marks = {kind: _marks(timeline, kind) for kind in MarkKind}
    time = altair.X("at:T", title="recorded, UTC", scale=altair.Scale(type="utc"))
    place = altair.Y("place:Q", title="sequence", scale=altair.Scale(zero=False))
    text = altair.Tooltip(["text:N", "at_text:N", "until_text:N"])

    def of(kind: MarkKind) -> Any:  # noqa: ANN401 - altair is imported when it is needed
        return altair.Chart(altair.Data(values=marks[kind]))

    spans = {"x": time, "x2": "until:T", "y": altair.Y("low:Q"), "y2": "high:Q", "tooltip": text}
    layers = [
        of(MarkKind.REPEAT)
        .mark_rect(color=_COLOURS[MarkKind.REPEAT], opacity=0.35)
        .encode(**spans),
        altair.Chart(places)
        .mark_line(interpolate="step-after", color=_COLOURS["sequence"])
        .encode(x=time, y=place),
        altair.Chart(places)
        .mark_circle(color=_COLOURS["sequence"], size=12, opacity=0.6)
        .encode(x=time, y=place, tooltip=["place_text:N", "at_text:N"])
        .add_params(zoom),
        of(MarkKind.JUMP)
        .mark_point(color=_COLOURS[MarkKind.JUMP], shape="triangle-up", filled=True, size=60)
        .encode(x=time, y="high:Q", tooltip=text),
        of(MarkKind.ERRORS)
        .mark_rule(color=_COLOURS[MarkKind.ERRORS], strokeWidth=5)
        .encode(x=time, x2="until:T", y="low:Q", tooltip=text),
        of(MarkKind.ERRORS)
        .mark_point(color=_COLOURS[MarkKind.ERRORS], shape="cross", filled=True, size=50)
        .encode(x=time, y="low:Q", tooltip=text),
        of(MarkKind.RESET)
        .mark_rule(color=_COLOURS[MarkKind.RESET], strokeWidth=2, strokeDash=[4, 3])
        .encode(x=time, y="low:Q", y2="high:Q", tooltip=text),
        of(MarkKind.RESET)
        .mark_point(color=_COLOURS[MarkKind.RESET], shape="diamond", filled=True, size=70)
        .encode(x=time, y="to:Q", tooltip=text),
    ]
    for kind, shape in ((MarkKind.START, "square"), (MarkKind.TAKEOVER, "triangle-down")):
        if marks[kind]:
            layers.append(
                of(kind)
                .mark_point(color=_COLOURS[kind], shape=shape, filled=True, size=70)
                .encode(x=time, y="to:Q", tooltip=text)
            )
    if len(marks[MarkKind.RESET]) <= LABELS_MAX:
        # Beside its reset, on the side that has more room.
        points = timeline.points
        middle = (points[0].at + (points[-1].at - points[0].at) / 2).isoformat()
        for align, dx, early in (("left", 7, True), ("right", -7, False)):
            side = [mark for mark in marks[MarkKind.RESET] if (mark["at"] < middle) is early]
            layers.append(
                altair.Chart(altair.Data(values=side))
                .mark_text(
                    align=align, dx=dx, dy=-7, color=_COLOURS[MarkKind.RESET], limit=WIDTH // 2
                )
                .encode(x=time, y="to:Q", text="text:N", tooltip=text)
            )
    chart = altair.layer(*layers).properties(
        width=WIDTH,
        height=HEIGHT,
        title=altair.TitleParams(visible(str(timeline.key)), subtitle=_legend(timeline)),
    )
    specification: str = chart.to_json(indent=None)
    return specification


def _legend(timeline: Timeline) -> list[str]:
    said = {
        MarkKind.RESET: "dashed: resets",
        MarkKind.REPEAT: "shaded: delivered again",
        MarkKind.ERRORS: "crosses: errors",
        MarkKind.JUMP: "triangles: jumps",
        MarkKind.START: "square: where it started",
        MarkKind.TAKEOVER: "triangles down: takeovers",
    }
    kinds = {mark.kind for mark in timeline.marks}
    parts = [f"{timeline.entries:,} entries", *(said[kind] for kind in said if kind in kinds)]
    if timeline.left_out:
        parts.append(f"{timeline.left_out:,} smaller marks are left out")
    return [" · ".join(parts)]


def _point(point: Point) -> dict[str, object]:
    # Browsers keep 53 bits of a number; the text has them all.
    return {
        "at": point.at.isoformat(),
        "at_text": show_time(point.at),
        "place": point.sequence,
        "place_text": str(point.sequence),
    }


def _marks(timeline: Timeline, kind: MarkKind) -> list[dict[str, Any]]:
    return [
        {
            "at": _seen_at(timeline, mark).isoformat(),
            "until": mark.until.isoformat(),
            "at_text": show_time(mark.at),
            "until_text": show_time(mark.until),
            "low": mark.low,
            "high": mark.high,
            "to": mark.to,
            "text": visible(mark.text),
        }
        for mark in timeline.marks
        if mark.kind is kind
    ]


def _seen_at(timeline: Timeline, mark: TimelineMark) -> datetime:
    """Return where a mark is seen first; one that began before the timeline is at its edge."""
    return mark.at if timeline.since is None else max(mark.at, timeline.since)


def _library(name: str) -> Any:  # noqa: ANN401 - a module that may not be there
    try:
        return import_module(name)
    except ImportError:
        raise ChartLibraryMissingError(
            f"{name} is not installed, which draws timelines. Install it with: "
            "pip install '.[timeline]' in a clone of cursor-ledger"
        ) from None
