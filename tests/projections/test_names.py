"""Names that are a function of `projections`, and a module or package of it, too."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAME = ["gaps", "lag", "repeats", "resets", "stalls", "timeline"]


@pytest.mark.parametrize("first", ["import projections", "import projections.resets.plans", ""])
def test_the_public_name_is_the_function_whatever_is_imported_first(first: str) -> None:
    program = f"""
import importlib
{first}
for name in {SAME}:
    importlib.import_module(f"projections.{{name}}")
from projections.resets.plans import ResetPlan
from projections.gaps import Gap
import projections
for name in {SAME}:
    assert callable(getattr(projections, name)), name
assert ResetPlan is projections.ResetPlan
assert Gap is projections.Gap
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
