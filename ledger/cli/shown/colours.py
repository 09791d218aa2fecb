"""Texts that have a colour on a terminal."""

from __future__ import annotations

import os
import sys

import click

__all__ = ["colour", "recoloured", "without_colour"]


class _Coloured(str):
    """A text with what makes a terminal show it in a colour."""

    __slots__ = ("name", "plain")

    name: str
    plain: str


def colour(text: str, name: str) -> str:
    """Return `text` in the colour `name`, if that is one, on a terminal without NO_COLOR.

    On a light background, a name of a light colour stands for one that can be read there.
    """
    if not (text and name) or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    if os.environ.get("TERM") == "dumb":
        return text
    if _is_light():
        name = _ON_LIGHT.get(name, name)
    coloured = _Coloured(click.style(text, fg=name))
    coloured.plain, coloured.name = text, name
    return coloured


_ON_LIGHT = {"yellow": "magenta", "cyan": "blue"}


def _is_light() -> bool:
    """Return whether the terminal tells that its background is light: `COLORFGBG=0;15`."""
    return os.environ.get("COLORFGBG", "").rpartition(";")[2] in {"7", "15"}


def without_colour(text: str) -> str:
    """Return what of `text` is to be read."""
    return text.plain if isinstance(text, _Coloured) else text


def recoloured(plain: str, like: str) -> str:
    """Return `plain` in the colour of `like`, if that has one."""
    return colour(plain, like.name) if isinstance(like, _Coloured) else plain
