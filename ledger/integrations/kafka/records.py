"""How a record of Kafka is named in the ledger: its cursor, its sequence, its delivery.

A partition numbers its records from 0, and a group commits the offset of the *next* record. The
record at offset k is therefore sequence k + 1, and a cursor at n says what a committed offset of n
says: everything before n is done, and n comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import InvalidCursorError
from ledger.law.cursor import CursorKey
from ledger.positions import sequence_of_confirmed_offset

if TYPE_CHECKING:
    from confluent_kafka import Message

__all__ = ["delivery_id_of", "key_of", "place_of", "sequence_of"]


def key_of(group: str, topic: str, partition: int) -> CursorKey:
    """Return the key of the cursor that `group` has on `partition`, from 0, of `topic`.

    Raises InvalidCursorError.

    >>> from ledger.integrations import kafka
    >>> str(kafka.key_of("mailer", "orders", 7))
    'mailer/orders/7'
    """
    return CursorKey(group, topic, str(partition))


def place_of(message: Message) -> tuple[str, int, int]:
    """Return the topic, the partition and the offset of `message`.

    Raises InvalidCursorError if it has none, as one that was not read from a topic.
    """
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None or offset < 0:
        raise InvalidCursorError("the message has no topic, partition and offset.")
    return topic, partition, offset


def sequence_of(message: Message) -> int:
    """Return the sequence of `message`: its offset and one, because sequences begin at 1.

    Raises InvalidCursorError if it has no offset.

    >>> from confluent_kafka import Message
    >>> from ledger.integrations import kafka
    >>> kafka.sequence_of(Message(topic="orders", partition=7, offset=0))
    1
    """
    return sequence_of_confirmed_offset(place_of(message)[2])


def delivery_id_of(message: Message) -> str:
    """Return the place of `message`, which is the same whenever it is delivered.

    Raises InvalidCursorError if it has none.

    >>> from confluent_kafka import Message
    >>> from ledger.integrations import kafka
    >>> kafka.delivery_id_of(Message(topic="orders", partition=7, offset=0))
    'orders[7]@0'
    """
    topic, partition, offset = place_of(message)
    return f"{topic}[{partition}]@{offset}"
