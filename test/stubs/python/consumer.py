"""Prints every record of a topic, partition by partition; the records of a key are in order.

    python consumer.py 127.0.0.1:7101 orders

producer.py says how to generate the stubs.
"""

import sys

import grpc

from flotilla.v1.log_pb2 import READ_CONSISTENCY_LINEARIZABLE, READ_POSITION_BEGINNING, ReadRequest
from flotilla.v1.log_pb2_grpc import LogServiceStub
from flotilla.v1.topic_pb2 import GetTopicRequest
from flotilla.v1.topic_pb2_grpc import TopicServiceStub


def read(log, topic, partition):
    """The partition's records with their offsets, up to the end as the leader knows it."""
    request = ReadRequest(
        topic=topic,
        partition=partition,
        position=READ_POSITION_BEGINNING,  # or offset=…, or time=…
        consistency=READ_CONSISTENCY_LINEARIZABLE,
        until_end=True,  # without it the stream stays open and brings what comes
    )
    for message in log.Read(request):
        for batch in message.batches:
            yield from enumerate(batch.records.records, batch.base_offset)


def main(address, topic):
    with grpc.insecure_channel(address) as channel:
        log, topics = LogServiceStub(channel), TopicServiceStub(channel)
        for partition in topics.GetTopic(GetTopicRequest(name=topic), timeout=10).topic.partitions:
            for offset, record in read(log, topic, partition.partition):
                place = f"{topic}/{partition.partition} @{offset}"
                print(f"{place}  {record.key.decode()} {record.value.decode()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
