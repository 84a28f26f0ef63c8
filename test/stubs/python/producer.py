"""Appends lines "KEY VALUE" from standard input to a topic, each exactly once.

The stubs come from the standard protobuf compiler, called in the folder that holds proto/:

    pip install -r requirements.txt
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/flotilla/v1/*.proto
    python producer.py 127.0.0.1:7101 orders < lines.txt

Any node takes any call. To go on when one is lost, name several: ipv4:127.0.0.1:7101,127.0.0.1:7102
"""

import collections
import sys
import time
import uuid

import grpc
from grpc_status import rpc_status

from flotilla.v1.cluster_pb2 import LocatePartitionRequest
from flotilla.v1.cluster_pb2_grpc import ClusterServiceStub
from flotilla.v1.error_pb2 import Error
from flotilla.v1.log_pb2 import AppendRequest, ProducerIdentity
from flotilla.v1.log_pb2_grpc import LogServiceStub
from flotilla.v1.record_pb2 import Record, RecordSet

TRANSPORT_FAILURES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def flotilla_error(failure):
    """What Flotilla says about a failed call; None where the call failed on its way."""
    status = rpc_status.from_call(failure)
    for detail in status.details if status else ():
        error = Error()
        if detail.Unpack(error):
            return error
    return None


def persist(call, request, patience_s=30):
    """Calls until it is answered. Only for requests that do no harm when they arrive twice."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return call(request, timeout=10)
        except grpc.RpcError as failure:
            error = flotilla_error(failure)
            retryable = error.retryable if error else failure.code() in TRANSPORT_FAILURES
            if not retryable or time.monotonic() > give_up_at:
                raise
            delay_s = error.retry_delay.ToTimedelta().total_seconds() if error else 0
            time.sleep(max(delay_s, 0.1))


def main(address, topic):
    producer_id = str(uuid.uuid4())
    sequences = collections.Counter()  # the next sequence of each partition
    with grpc.insecure_channel(address) as channel:
        log, cluster = LogServiceStub(channel), ClusterServiceStub(channel)
        for line in sys.stdin:
            key, _, value = line.rstrip("\n").partition(" ")
            where = LocatePartitionRequest(topic=topic, key=key.encode())
            partition = persist(cluster.LocatePartition, where).partition.partition
            request = AppendRequest(
                topic=topic,
                partition=partition,
                records=RecordSet(records=[Record(key=key.encode(), value=value.encode())]),
                # By this a retry is known as one: it is answered with the offset of the first try.
                producer=ProducerIdentity(producer_id=producer_id, sequence=sequences[partition]),
            )
            response = persist(log.Append, request)
            sequences[partition] += 1
            print(f"{topic}/{partition} @{response.base_offset}  {key}")


if __name__ == "__main__":
    main(*sys.argv[1:])
