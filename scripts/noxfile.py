"""Run the fast tests on each Python that the package supports; scripts/test-pythons calls this."""

from __future__ import annotations

import os
from pathlib import Path

import nox

TOP = Path(__file__).resolve().parents[1]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
DEPENDENCIES = nox.project.load_toml(TOP / "pyproject.toml")["project"]["dependencies"]

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv"
# A Python that this machine lacks is reported as not run, instead of being downloaded.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the fast tests, with the tools in the versions that uv.lock has."""
    session.chdir(TOP)
    session.run_install(
        *("uv", "sync", "--quiet", "--locked", "--no-python-downloads"),
        *("--all-extras", "--group", "test", f"--python={session.virtualenv.location}"),
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )
    session.run("python", "-m", "pytest", *FAST, *session.posargs, env=dict(os.environ))


@nox.session(python=PYTHONS[:1])
def lowest(session: nox.Session) -> None:
    """Run the fast tests and those of the command, with the oldest versions of what it needs."""
    session.chdir(TOP)
    python = f"--python={session.virtualenv.location}"
    session.run_install(
        "uv", "pip", "install", "--quiet", python, "--group", "test", ".[fast,postgres,timeline]"
    )
    session.run_install(
        *("uv", "pip", "install", "--quiet", python, "--resolution=lowest-direct"),
        *DEPENDENCIES,
    )
    session.run(
        "python", "-m", "pytest", *FAST, "tests/cli", *session.posargs, env=dict(os.environ)
    )


# What scripts/test --fast runs.
FAST = ["-n", "3", "--dist=loadgroup", "--fast", "tests/unit", "tests/contract"]
