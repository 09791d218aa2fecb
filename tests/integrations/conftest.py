"""Projects of Django for the tests of its app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.django_projects import Project, project_on

SETTINGS_OF_A_SECOND_DATABASE = """
DATABASES["other"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "other.db"}
"""


@pytest.fixture(scope="module")
def project(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return the project, with its tables."""
    with project_on(kind, tmp_path_factory.mktemp("shop")) as project:
        project.set(SETTINGS_OF_A_SECOND_DATABASE)
        project.manage("migrate")
        yield project


@pytest.fixture
def fresh(kind: str, tmp_path: Path) -> Iterator[Project]:
    """Return a project that has no tables yet."""
    with project_on(kind, tmp_path / "shop") as project:
        yield project


@pytest.fixture(scope="module")
def unused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project whose database is never looked at."""
    with project_on("sqlite", tmp_path_factory.mktemp("unused")) as project:
        project.set(SETTINGS_OF_A_SECOND_DATABASE)
        yield project
