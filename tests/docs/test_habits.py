"""What keeps the repository in order: the lock, the subjects of commits, the changes by version."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ledger
from support.places import TOP


def refused(message: str, folder: Path) -> bool:
    (folder / "message").write_text(message, "utf-8")
    script = [sys.executable, str(TOP / "scripts/commit_subject.py"), str(folder / "message")]
    return subprocess.run(script, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    "message",
    [
        "a" * 71,
        "ä" * 71 + "\n",
        "A subject\n\nA body of lines, of which any may be longer than a subject can be: "
        + "b" * 90,
        "# A comment of git\nA subject\n# Another\n",
        "",
    ],
)
def test_a_subject_that_can_be_read_in_a_list_is_taken(message: str, tmp_path: Path) -> None:
    assert not refused(message, tmp_path)


@pytest.mark.parametrize("message", ["a" * 72, "\n\n" + "b" * 72, "A subject\nand more of it"])
def test_a_subject_that_is_too_long_is_refused(message: str, tmp_path: Path) -> None:
    assert refused(message, tmp_path)


def test_the_lock_names_no_host_but_the_public_index() -> None:
    text = (TOP / "uv.lock").read_text("utf-8")
    assert set(re.findall(r"\w+://[^/\"]+", text)) == {
        "https://files.pythonhosted.org",
        "https://pypi.org",
    }
    sources = [package["source"] for package in tomllib.loads(text)["package"]]
    assert [source for source in sources if "registry" not in source] == [{"editable": "."}]
    assert {source.get("registry", "https://pypi.org/simple") for source in sources} == {
        "https://pypi.org/simple"
    }


def test_every_change_stands_under_a_version_and_a_heading_on_one_line() -> None:
    lines = (TOP / "CHANGELOG.md").read_text("utf-8").splitlines()
    versions = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert versions[0] == "Unreleased"
    assert versions[1].split(" ")[0] == ledger.__version__
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    first = lines.index("## Unreleased")
    assert [line for line in lines[first:] if line.startswith(" ") or len(line) > 125] == []
