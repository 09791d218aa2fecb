"""What the commands say is plain English: no word for which there is a usual one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import click
import pytest

from projections.cli import main
from support.places import TOP

FACES = [
    *TOP.glob("ledger/cli/*.py"),
    *TOP.glob("ledger/targets/*.py"),
    *TOP.glob("projections/**/*.py"),
]
# What a reader has to read twice, and where a usual word stands for it.
UNUSUAL = {
    "again, not anew": r"\banew\b",
    "which, not whom": r"\b[Ww]hom\b",
    "because, not for": r",? for (it|they|he|this|there) (is|are|was|were|has|have|takes?)\b",
    "a sentence begins with its subject": r"(?:^|[.:!?]\s+)(Then|So|Who)\s+[a-z]+\b(?!.*\?)",
    "not a poem": r"without a word|a word of its own|vouch|in the end\b|comes? to its end",
    "no cursor, not no such": r"\bis no [a-z]+\b",
    "write, name, choose or use, not give": r"\b[Gg]ive (a|one|exactly|CONSUMER|--)",
    "sequence, not position, for what a cursor confirms": r"[Tt]he new position|position stays",
}


def strings() -> Iterator[tuple[str, str]]:
    """Yield the texts of the faces, and where they are, docstrings included."""
    for path in sorted(set(FACES)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(TOP)}:{node.lineno}", node.value


def docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted(set(FACES)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                said = ast.get_docstring(node)
                if said:
                    yield f"{path.relative_to(TOP)}:{getattr(node, 'name', '')}", said


def helps() -> Iterator[tuple[str, str]]:
    commands: dict[str, click.Command] = {"cursor-ledger": main, **main.commands}
    for name, command in commands.items():
        yield name, command.help or ""
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield f"{name} {parameter.opts[0]}", parameter.help or ""


@pytest.mark.parametrize("rule", UNUSUAL)
def test_the_faces_say_it_in_usual_words(rule: str) -> None:
    found = {
        place: " ".join(said.split())
        for place, said in strings()
        if re.search(UNUSUAL[rule], " ".join(said.split()))
    }
    assert found == {}


def test_a_docstring_says_what_is_returned_or_yielded() -> None:
    found = [place for place, said in docstrings() if re.match(r"Gives?\b", said)]
    assert found == []
    assert len(list(docstrings())) > 200


def test_every_command_and_option_has_a_help_of_whole_sentences() -> None:
    for place, said in helps():
        assert re.match(r"[A-Z(]", said), (place, said)
        assert said.rstrip().endswith((".", "[default: user@host]", "}", ").")), (place, said)
