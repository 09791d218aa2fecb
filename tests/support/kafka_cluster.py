"""Kafka's protocol without a broker: the mock cluster that librdkafka has for its own tests.

`test.mock.num.brokers` would make one as well, with topics of four partitions and a pause of three
seconds before each group; here it is asked through its C interface (rdkafka_mock.h), as the tests
of librdkafka do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

__all__ = ["KafkaCluster", "kafka_cluster"]

PRODUCER = 0
LIBRARIES = ("confluent_kafka.libs/librdkafka*.so*", "confluent_kafka/.dylibs/librdkafka*.dylib")


class KafkaCluster:
    """One broker that is none, and what it can be told."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        said = ctypes.create_string_buffer(512)
        self._client = library.rd_kafka_new(PRODUCER, None, said, len(said))
        assert self._client, said.value
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)

    @property
    def servers(self) -> str:
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def make_topic(self, name: str, partitions: int) -> None:
        made = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        assert made == 0

    def go_down(self) -> None:
        """Cut all connections, and take no new ones."""
        assert self._library.rd_kafka_mock_broker_set_down(self._cluster, 1) == 0

    def come_back(self) -> None:
        assert self._library.rd_kafka_mock_broker_set_up(self._cluster, 1) == 0

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete what is before an offset, as retention does."""
        deleted = self._library.rd_kafka_mock_partition_delete_records(
            self._cluster, topic.encode(), partition, offset
        )
        assert deleted == 0

    def destroy(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@contextmanager
def kafka_cluster() -> Iterator[KafkaCluster]:
    """Run a cluster in this process until the end of the block."""
    cluster = KafkaCluster(_library())
    try:
        yield cluster
    finally:
        cluster.destroy()


def _library() -> ctypes.CDLL:
    """Return the librdkafka that confluent_kafka has loaded."""
    packages = Path(confluent_kafka.__file__).parent.parent
    [path] = [path for pattern in LIBRARIES for path in packages.glob(pattern)]
    library = ctypes.CDLL(str(path))
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_new", handle, (number, handle, text, ctypes.c_size_t)),
        ("rd_kafka_destroy", None, (handle,)),
        ("rd_kafka_mock_cluster_new", handle, (handle, number)),
        ("rd_kafka_mock_cluster_destroy", None, (handle,)),
        ("rd_kafka_mock_cluster_bootstraps", text, (handle,)),
        ("rd_kafka_mock_topic_create", number, (handle, text, number, number)),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, (handle, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_down", number, (handle, ctypes.c_int32)),
        ("rd_kafka_mock_broker_set_up", number, (handle, ctypes.c_int32)),
        (
            "rd_kafka_mock_partition_delete_records",
            number,
            (handle, text, ctypes.c_int32, ctypes.c_int64),
        ),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    return library
