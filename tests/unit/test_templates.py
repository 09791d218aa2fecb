"""Templates name fields and lay them out; nothing in them is run."""

from __future__ import annotations

import pytest
from wcwidth import wcswidth

from ledger.cli.shown.templates import Template

FIELDS = {
    "sequence": 1234567,
    "actor": "ines\x1b[31m\n",
    "name": "注文",
    "at": None,
    "certain": True,
    "metadata": {"ticket": "OPS-1", "a/b": "c"},
    "before": {"last_sequence": 41},
}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{sequence}", "1234567"),
        (
            "{sequence:,}|{sequence:>9}|{sequence:<9}|{sequence:*^9}",
            "1,234,567|  1234567|1234567  |*1234567*",
        ),
        ("{actor}", r"ines\x1b[31m\n"),
        ("{actor:.4}!", "ines!"),
        ("[{at}] {certain}", "[] true"),
        ("{metadata.ticket} {metadata.none}{metadata.a/b}", "OPS-1 c"),
        ("{metadata}", '{"ticket":"OPS-1","a/b":"c"}'),
        ("{before.last_sequence} {before.last_sequence.x}", "41 "),
        (r"a\tb\\n{{sequence}}", "a\tb\\n{sequence}"),
        ("no field", "no field"),
    ],
)
def test_a_template_lays_fields_out(text: str, line: str) -> None:
    assert Template.parse(text).line(FIELDS) == line


def test_widths_are_columns_of_a_terminal() -> None:
    assert wcswidth(Template.parse("{name:>10}").line(FIELDS)) == 10


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "}",
        "{}",
        "{0}",
        "{sequence!r}",
        "{sequence:x}",
        "{sequence:{name}}",
        "{sequence:>99999999}",
        "{sequence.__class__.__init__[a]}",
        "{a b}",
        "{key[consumer_id]}",
    ],
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        Template.parse(text)


def test_nothing_is_looked_up_on_an_object() -> None:
    assert not Template.parse("{actor.__class__}{sequence.__add__}").line(FIELDS)
