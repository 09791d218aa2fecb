"""SQLAlchemy and Alembic beside the ledger's tables in one database.

To lend a session it takes nothing of this: see `Ledger.using`. It needs SQLAlchemy:
pip install '.[sqlalchemy]' in a clone of cursor-ledger.
"""

from __future__ import annotations

from ledger.integrations.sqlalchemy.known_tables import Tables, include_object, tables
from ledger.integrations.sqlalchemy.transactions import begin_immediate

__all__ = ["Tables", "begin_immediate", "include_object", "tables"]
