"""The CSV in which Kafka's own tool writes and reads the offsets of consumer groups.

`kafka-consumer-groups --reset-offsets --export` writes it, and `--from-file` reads it: a line for
each partition, `group,topic,partition,offset`, or `topic,partition,offset` where the tool was told
one group; no heading. The tool reads each line on its own (Apache Kafka, OffsetsUtils.java and
CsvUtils.java), so nothing in it may have a line break.

Kafka counts from 0 and commits the offset that is read next: N means that offsets 0 to N - 1 are
consumed, which are the sequences 1 to N here: the offset is the sequence.
"""

from __future__ import annotations

import csv
import re

from ledger.errors import InvalidCursorError
from ledger.exchange.rows import Misread, Read, Row
from ledger.law.cursor import Cursor

__all__ = ["COLUMNS", "checked_row", "csv_line", "csv_row", "is_heading"]

COLUMNS = ("group", "topic", "partition", "offset")

# The partition is an int of Java.
_PARTITION_MAX = 2**31 - 1
_PARTITION = re.compile(r"0|[1-9][0-9]{0,9}")
# org.apache.kafka.common.internals.Topic
_TOPIC = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


def is_heading(text: str) -> bool:
    """Return whether a line is the heading that spreadsheets and people put above the CSV."""
    names = tuple(name.strip(' "').lower() for name in text.split(","))
    return names in (COLUMNS, COLUMNS[1:])


def csv_row(line: int, text: str) -> Read:
    """Return the row that a line of the CSV has."""
    try:
        found = next(csv.reader([text], strict=True))
    except csv.Error as error:
        return Misread(line, f"the line is not CSV ({error}).")
    if len(found) not in (3, 4):
        return Misread(
            line,
            f"the line has {len(found)} {'column' if len(found) == 1 else 'columns'}; Kafka's CSV "
            "has group,topic,partition,offset or topic,partition,offset.",
        )
    return checked_row(line, dict(zip(COLUMNS[-len(found) :], found, strict=True)))


def checked_row(line: int, values: dict[str, str | None]) -> Read:
    """Return the row if its topic and partition are such as Kafka has; they may be None."""
    topic, partition = values["topic"], values["partition"]
    if topic is not None and (problem := _topic_problem(topic)):
        return Misread(line, problem)
    if partition is not None and (problem := _partition_problem(partition)):
        return Misread(line, problem)
    return Row(line, values)


def csv_line(cursor: Cursor, *, group: bool = True) -> str:
    """Return the line of a cursor, quoted as Kafka's tool does it, without its end.

    Raises InvalidCursorError if the cursor has a key that no partition of Kafka can have.
    """
    key = cursor.key
    problem = (
        _topic_problem(key.stream_name)
        or _partition_problem(key.subject_id)
        or (_group_problem(key.consumer_id) if group else None)
    )
    if problem:
        raise InvalidCursorError(problem)
    names = [key.consumer_id, key.stream_name] if group else [key.stream_name]
    return ",".join([*map(_quoted, names), key.subject_id, str(cursor.last_sequence)])


def _topic_problem(topic: str) -> str | None:
    if _TOPIC.fullmatch(topic):
        return None
    return (
        f"{topic!r:.80} cannot be a topic of Kafka: 1 to 249 of the characters a to z, A to Z, "
        "0 to 9, '.', '_' and '-'."
    )


def _partition_problem(partition: str) -> str | None:
    if _PARTITION.fullmatch(partition) and int(partition) <= _PARTITION_MAX:
        return None
    return (
        f"{partition!r:.80} cannot be a partition of Kafka: an integer from 0 to {_PARTITION_MAX}."
    )


def _group_problem(group: str) -> str | None:
    if "\n" not in group and "\r" not in group:
        return None
    return f"{group!r:.80} has a line break, and Kafka's tool reads line by line."


# Its writer (CsvEncoder of Jackson) looks only at short texts, and quotes all others. It counts
# units of UTF-16, and quotes whatever has a character up to the comma.
_UNQUOTED_MAX = 24
_QUOTED = re.compile("[\0-,]")


def _quoted(text: str) -> str:
    if len(text.encode("utf-16-le")) > 2 * _UNQUOTED_MAX or _QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
