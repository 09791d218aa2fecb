"""Kafka: a member of a consumer group whose offsets are kept in the ledger, and not in Kafka.

It needs the client of Confluent: pip install '.[kafka]' in a clone of cursor-ledger.
"""

from __future__ import annotations

from ledger.integrations.kafka.member import Member
from ledger.integrations.kafka.records import delivery_id_of, key_of, sequence_of

__all__ = ["Member", "delivery_id_of", "key_of", "sequence_of"]
