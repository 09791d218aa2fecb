"""A map of text to text that never changes: the metadata of a request or an entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn, TypeAlias

__all__ = ["EMPTY", "Pairs", "SignedPairs"]

_State: TypeAlias = tuple[tuple[str, str], ...]


class Pairs(Mapping[str, str]):
    """A read-only map. It equals any map of the same pairs, and survives pickling and copying.

    A subclass of dict cannot be made read-only, because `dict.update` writes to it, and a
    `MappingProxyType` cannot be pickled. There are few pairs, so they are kept in a tuple and
    searched in order.
    """

    __slots__ = ("_pairs",)

    _pairs: _State

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        if hasattr(self, "_pairs"):
            raise _fixed()
        object.__setattr__(self, "_pairs", tuple(dict(pairs).items()))

    def __getitem__(self, name: str) -> str:
        """Return the text named `name`."""
        for known, text in self._pairs:
            if known == name:
                return text
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Return the names, in the order in which they were given."""
        return iter([name for name, _ in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return repr(dict(self._pairs))

    def __reduce__(self) -> tuple[type[Pairs], tuple[dict[str, str]]]:
        return Pairs, (dict(self._pairs),)

    def __copy__(self) -> Pairs:
        return self

    def __deepcopy__(self, memo: object) -> Pairs:
        return self

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _fixed()

    def __delattr__(self, name: str) -> NoReturn:
        raise _fixed()


class SignedPairs(Pairs):
    """Metadata with a signature in it, from whoever has seen that it is over this reset.

    A request takes the names of a signature from here only. An entry has no need of it.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[Pairs], tuple[dict[str, str]]]:
        return SignedPairs, (dict(self._pairs),)


def _fixed() -> TypeError:
    return TypeError("this map never changes; make a dict of it: dict(metadata).")


EMPTY = Pairs()
"""The metadata of most requests and entries."""
