"""A test that hangs fails; what it has started, or what cleans up behind it, holds up no run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.places import TOP

HANGS = """
import threading
import pytest

@pytest.mark.timeout(0.5)
def test_it_hangs():
    try:
        threading.Event().wait()
    finally:
        threading.Event().wait()
"""


def test_a_process_ends_with_the_test_that_fails() -> None:
    began = time.monotonic()
    script = "import signal; signal.pause()"
    with pytest.raises(ValueError), subprocess.Popen([sys.executable, "-c", script]) as process:  # noqa: PT011
        raise ValueError
    assert process.returncode == -9
    assert time.monotonic() - began < 60


def test_a_test_that_hangs_while_it_cleans_up_ends_its_process(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    conftest = (TOP / "tests/conftest.py").read_text("utf-8")
    assert "CLEANING_S = 60.0\n" in conftest
    (tmp_path / "conftest.py").write_text(conftest.replace("CLEANING_S = 60.0", "CLEANING_S = 0.5"))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull),
            *("--rootdir", str(tmp_path), "-o", "timeout=300", str(tmp_path / "test_it.py")),
        ],
        env={**os.environ, "PYTHONPATH": str(TOP / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "in test_it_hangs" in done.stderr
