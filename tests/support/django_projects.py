"""The project of docs/django.md, written to a folder, and its commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from support.places import TOP
from support.preloaded import OF_THE_LEDGER, programs
from support.servers import own_database

__all__ = ["Project", "files_of", "project_on"]

FILE = re.compile(r"^```py\n# ([\w/]+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What can be imported before the settings are known.
OF_DJANGO = (
    *OF_THE_LEDGER,
    *("django.contrib.admin.apps", "django.contrib.admin", "django.contrib.auth.apps"),
    *("django.contrib.auth.hashers", "django.contrib.messages.middleware"),
    *("django.contrib.messages.storage.fallback", "django.contrib.sessions.backends.db"),
    *("django.contrib.sessions.middleware", "django.contrib.sessions.apps"),
    *("django.contrib.staticfiles.apps", "django.contrib.staticfiles.finders"),
    *("django.core.management.commands.makemigrations", "django.core.management.commands.migrate"),
    *("django.core.management.commands.test", "django.core.management.commands.check"),
    *("django.db.backends.postgresql.base", "django.db.backends.sqlite3.base", "django.test"),
    *("django.views.csrf", "django.views.defaults", "ledger.integrations.django.apps"),
)


@attrs.frozen
class Project:
    """A folder with `manage.py`, and the ledger that its database has."""

    folder: Path
    target: str
    python: str = ""
    """Another Python than that of the tests."""

    def write(self, name: str, text: str) -> None:
        """Write a module of the project, and make the folders above it packages."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        for above in file.relative_to(self.folder).parents[:-1]:
            (self.folder / above / "__init__.py").touch()
        file.write_text(text, "utf-8")

    def set(self, text: str) -> None:
        """Add to the settings."""
        with (self.folder / "project" / "settings.py").open("a", encoding="utf-8") as settings:
            settings.write(f"\n{text}\n")

    def manage(self, *words: str, code: int = 0) -> str:
        """Run `manage.py`, expect that it exits with `code`, and return what it prints."""
        return self.run(["manage.py", *words], code=code)

    def shell(self, script: str, *, code: int = 0) -> str:
        """Run a script that may use the models."""
        setup = "import os, django\nos.environ['DJANGO_SETTINGS_MODULE'] = 'project.settings'\n"
        return self.run(["-c", f"{setup}django.setup()\n{script}"], code=code)

    def run(self, arguments: list[str], *, code: int = 0, anew: bool = False) -> str:
        """Run Python, as `manage` does; `anew`, if it matters what it has imported."""
        python = self.python or (
            sys.executable if anew else programs("django", OF_DJANGO) / "python"
        )
        path = f"{self.folder}{os.pathsep}{TOP}"
        environ = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "PYTHONWARNINGS": "default"}
        done = subprocess.run(
            [python, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environ,
            timeout=120,
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        assert "ResourceWarning" not in done.stderr, done.stderr
        return done.stdout + done.stderr


# What makemigrations writes, by the Python that it is run by.
_migrations: dict[str, str] = {}


def files_of(guide: str) -> dict[str, str]:
    """Return the modules that a guide shows, by their names."""
    return dict(FILE.findall((TOP / "docs" / guide).read_text("utf-8")))


@contextmanager
def project_on(kind: str, folder: Path, *, python: str = "") -> Iterator[Project]:
    """Write the project for a database of that kind, which is there for this, and goes with it."""
    if kind == "sqlite":
        project = Project(folder, str(folder / "shop.db"), python)
        _write(project)
        yield project
        return
    with own_database(kind) as url:
        project = Project(folder, url, python)
        _write(project)
        parts = urlsplit(url)
        place = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "HOST": parts.hostname,
            "PORT": parts.port,
            "USER": parts.username,
            "PASSWORD": "hunter2",
            # What the ledger's connections need to know, and what is psycopg's business.
            "OPTIONS": {"connect_timeout": 20, "server_side_binding": True},
        }
        project.set(f"DATABASES = {{'default': {place!r}}}")
        yield project


def _write(project: Project) -> None:
    for name, text in files_of("django.md").items():
        project.write(name, text)
    project.write("shop/migrations/__init__.py", "")
    made = project.folder / "shop" / "migrations" / "0001_initial.py"
    if project.python not in _migrations:
        project.manage("makemigrations", "shop")
        _migrations[project.python] = made.read_text("utf-8")
    made.write_text(_migrations[project.python], "utf-8")
