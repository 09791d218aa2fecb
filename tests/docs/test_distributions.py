"""What is built to be installed has what it should, and no more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import ledger
from support.places import TOP

NAME = f"cursor_ledger-{ledger.__version__}"
PACKAGES = ("ledger", "projections")
PLUGIN = "ledger/testing/plugin/pytest_cursor_ledger.py"
CODE = (".py", ".sql", ".typed", ".json")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=TOP, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl")


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())


def files_of(*folders: str) -> set[str]:
    return {
        str(file.relative_to(TOP))
        for folder in folders
        for file in (TOP / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.slow("it builds the distributions")
def test_a_wheel_has_the_packages_and_what_is_said_of_them(wheel: zipfile.ZipFile) -> None:
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    # pytest imports it by itself, so it stands beside the packages.
    code = {*files_of(*PACKAGES) - {PLUGIN}, Path(PLUGIN).name}
    assert set(wheel.namelist()) == code | {f"{NAME}.dist-info/{name}" for name in about}
    assert [name for name in code if not name.endswith(CODE)] == []


def test_a_source_distribution_has_what_the_repository_has(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    folders = {*PACKAGES, "docs", "scripts", "tests"}
    alone = {".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "uv.lock"}
    assert {name.split("/")[0] for name in names} == folders | alone | {"PKG-INFO"}
    # Nothing that a tool has left behind, such as caches.
    assert names - alone - {"PKG-INFO"} == files_of(*folders)


@pytest.mark.slow("it builds the distributions")
def test_what_a_wheel_holds_runs_without_the_repository(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path / "installed")
    program = (
        "import ledger, pathlib, projections\n"
        "with ledger.open('cursors.db') as book:\n"
        "    book.advance(ledger.CursorKey('webhooks', 'orders'), to=1)\n"
        "    assert book.verify().ok\n"
        "import projections.cli\n"
        "print(pathlib.Path(ledger.__file__).parts[-3], ledger.__version__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    run = [sys.executable, "-c", program]
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["installed", ledger.__version__]


@pytest.mark.slow("it builds the distributions")
def test_a_wheel_brings_its_plugin_for_pytest(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")
    test = tmp_path / "test_it.py"
    test.write_text(
        "def test_it(story):\n    assert story('advance 5').cursor.last_sequence == 5\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    run = [sys.executable, "-m", "pytest", "-q", str(test)]
    done = subprocess.run(
        run, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.slow("it builds the distributions")
def test_the_metadata_says_who_made_it_and_where_it_is(metadata: Message) -> None:
    assert metadata["Version"] == ledger.__version__
    assert metadata["Author"] == "The cursor-ledger authors"
    addresses = [line.partition(", ")[2] for line in metadata.get_all("Project-URL", [])]
    assert addresses
    assert all(address.startswith("https://") for address in addresses)


def test_tools_of_ours_are_not_offered_to_those_who_install_it(metadata: Message) -> None:
    extras = set(metadata.get_all("Provides-Extra", []))
    assert extras & {"bench", "check", "docs", "pythons", "test"} == set()
    assert {"kafka", "postgres", "timeline"} <= extras


def test_a_package_index_shows_no_link_that_leads_nowhere(metadata: Message) -> None:
    shown = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert [link for link in links if not link.startswith("https://")] == []
    # The words and the name of the file have stayed.
    assert "An audit of resets (`docs/audit-resets.md`)" in shown
    assert "`docs/embed.md`" in shown
    assert "source distribution" in shown
