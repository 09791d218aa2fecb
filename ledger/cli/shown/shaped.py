"""A result as it is to be shown: all of it, or what was asked for of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ledger.cli.shown.shapes import Shape

if TYPE_CHECKING:
    from ledger.cli.shown.narrowing import Column
    from ledger.cli.shown.templates import Template

__all__ = ["Plain", "Shaped", "shaped"]

Plain: TypeAlias = Callable[[Any], Any]
"""Makes JSON values of a value."""


class Shaped(NamedTuple):
    """A result as it is to be shown."""

    values: Iterable[Any]
    columns: Sequence[Column]
    plain: Plain
    of: Sequence[type | str]
    template: Template | None


def shaped(
    shape: Shape,
    values: Iterable[Any],
    columns: Sequence[Column],
    *,
    plain: Plain,
    of: Sequence[type | str],
    to_read: bool,
) -> Shaped:
    """Return what `shape` makes of a result. Raises click.UsageError for a name that is unknown."""
    if not shape.is_asked_for:
        return Shaped(values, columns, plain, of, None)
    # Imported here, because most results are shown as they are.
    from ledger.cli.shown.selecting import selected

    return selected(shape, values, columns, plain=plain, of=of, to_read=to_read)
