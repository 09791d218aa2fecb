"""A Django app: the ledger in Django's database, and inside its transactions.

`INSTALLED_APPS = [..., "ledger.integrations.django"]`; docs/django.md has a whole project.
"""

from __future__ import annotations

from ledger.integrations.django.ledgers import book, using

__all__ = ["book", "using"]
