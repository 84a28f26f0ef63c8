"""What a stub may rely on, met through a whole cluster: python conformance.py HOST:PORT TOPIC

Creates the topic. Ends with 0 where everything held, else with the statement that did not.
"""

import sys
import zlib

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from consumer import read
from flotilla.v1 import cluster_pb2, error_pb2, log_pb2, topic_pb2
from flotilla.v1.cluster_pb2_grpc import ClusterServiceStub
from flotilla.v1.log_pb2_grpc import LogServiceStub
from flotilla.v1.record_pb2 import Header, Record, RecordSet
from flotilla.v1.topic_pb2_grpc import TopicServiceStub
from producer import flotilla_error

PARTITION = 1


def expect(statement, actual, expected):
    if actual != expected:
        sys.exit(f"does not hold: {statement}\n  expected {expected!r}\n  but got  {actual!r}")
    print(f"holds: {statement}")


def failure_of(call):
    try:
        call()
    except grpc.RpcError as failure:
        return failure
    return sys.exit("does not hold: the call fails")


def sample_records():
    """Every form a record may have: all its fields, unset and empty ones, bytes that are no text."""
    happened = Timestamp(seconds=1_700_000_000, nanos=123_000_000)
    headers = [Header(name="trace", value=b"\x00\xff"), Header(name="trace", value=b"again")]
    return [
        Record(key=b"ann", value="Grüße".encode(), headers=headers, timestamp=happened),
        Record(key=b"ann"),
        Record(value=bytes(range(256))),
        Record(key=b"", value=b""),
    ]


def create_topic(channel, name):
    """Returns the node that leads the partition in question."""
    topics = TopicServiceStub(channel)
    request = topic_pb2.CreateTopicRequest(name=name, partition_count=3, request_id=f"create {name}")
    created = topics.CreateTopic(request, timeout=10).topic
    again = topics.CreateTopic(request, timeout=10).topic
    expect("the same request again creates nothing", again.topic_id, created.topic_id)
    topic = topics.GetTopic(topic_pb2.GetTopicRequest(name=name), timeout=10).topic
    expect("a topic has its partitions", [p.partition for p in topic.partitions], [0, 1, 2])
    expect("each has three replicas", {len(set(p.replica_node_ids)) for p in topic.partitions}, {3})
    expect("and a leader", {p.HasField("leader_node_id") for p in topic.partitions}, {True})
    return topic.partitions[PARTITION].leader_node_id


def check_append(log, topic):
    records = sample_records()
    record_set = RecordSet(records=records)
    request = log_pb2.AppendRequest(
        topic=topic,
        partition=PARTITION,
        records=record_set,
        producer=log_pb2.ProducerIdentity(producer_id="conformance", epoch=3, sequence=0),
        records_crc32=zlib.crc32(record_set.SerializeToString()),
    )
    first = log.Append(request, timeout=10)
    expect("a node that does not lead appends", (first.base_offset, first.record_count), (0, len(records)))
    expect("a first try is no duplicate", first.duplicate, False)
    retry = log.Append(request, timeout=10)
    expect("a retry is told that it is one", retry.duplicate, True)
    expect("and where its first try went", retry.base_offset, first.base_offset)


def check_read(address, topic):
    with grpc.insecure_channel(address) as channel:
        stored = list(read(LogServiceStub(channel), topic, PARTITION))
    expect("every record comes back once, as it was sent", stored, list(enumerate(sample_records())))


def check_append_stream(log, topic):
    def request(correlation_id, topic):
        records = RecordSet(records=[Record(value=b"streamed")])
        to_append = log_pb2.AppendRequest(topic=topic, partition=PARTITION, records=records)
        correlated = log_pb2.CorrelatedAppend(correlation_id=correlation_id, append=to_append)
        return log_pb2.AppendStreamRequest(appends=[correlated])

    requests = iter([request(1, topic), request(2, f"no-{topic}"), request(3, topic)])
    responses = log.AppendStream(requests, timeout=10)
    results = {result.correlation_id: result for response in responses for result in response.results}
    offsets = [results[correlation_id].appended.base_offset for correlation_id in (1, 3)]
    expect("a stream appends in its order", offsets, [4, 5])
    refused = results[2].error.reason
    expect("and a batch that fails does not end it", refused, error_pb2.ERROR_REASON_UNKNOWN_TOPIC)


def check_typed_errors(log, topic):
    records = RecordSet(records=[Record(value=b"lost")])
    missing = log_pb2.AppendRequest(topic=f"no-{topic}", partition=0, records=records)
    failure = failure_of(lambda: log.Append(missing, timeout=10))
    error = flotilla_error(failure)
    expect("an unknown topic is NOT_FOUND", failure.code(), grpc.StatusCode.NOT_FOUND)
    expect("its reason is UNKNOWN_TOPIC", error.reason, error_pb2.ERROR_REASON_UNKNOWN_TOPIC)
    expect("nothing was changed", error.effect, error_pb2.ERROR_EFFECT_NONE)
    expect("a retry does not help", error.retryable, False)
    expect("the message names the topic", f"no-{topic}" in error.message, True)

    beyond = log_pb2.ReadRequest(
        topic=topic,
        partition=PARTITION,
        offset=1_000,
        consistency=log_pb2.READ_CONSISTENCY_LINEARIZABLE,
    )
    error = flotilla_error(failure_of(lambda: list(log.Read(beyond, timeout=10))))
    offsets = (error.offset_range.low_offset, error.offset_range.high_watermark)
    expect("no record is past the end", error.reason, error_pb2.ERROR_REASON_OFFSET_OUT_OF_RANGE)
    expect("and the range is told", offsets, (0, 6))


def main(address, topic):
    with grpc.insecure_channel(address) as channel:
        leader = create_topic(channel, topic)
        cluster = ClusterServiceStub(channel)
        nodes = cluster.DescribeCluster(cluster_pb2.DescribeClusterRequest(), timeout=10).nodes
    stranger = next(node.address for node in nodes if node.node_id != leader)
    with grpc.insecure_channel(stranger) as channel:
        log = LogServiceStub(channel)
        check_append(log, topic)
        for node in nodes:
            check_read(node.address, topic)
        check_append_stream(log, topic)
        check_typed_errors(log, topic)


if __name__ == "__main__":
    main(*sys.argv[1:])
