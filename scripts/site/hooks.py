"""What mkdocs is told beside its configuration."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOP = Path(__file__).resolve().parents[2]
ABOVE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:scripts|tests)/[^)]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add each decision to the navigation, in the order of their numbers."""
    pages = sorted((TOP / "docs" / "decisions").glob("*.md"))
    assert config.nav is not None
    config.nav.append({"Decisions": [f"decisions/{page.name}" for page in pages]})
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the changes, which lie at the top of the repository because tools look there."""
    files.append(File.generated(config, "changes.md", abs_src_path=str(TOP / "CHANGELOG.md")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Name a file of the repository that is not part of the site, where a page links to it."""
    return ABOVE.sub(r"\1 (`\2`)", markdown)
