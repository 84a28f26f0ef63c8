"""A member of a consumer group: prints the records of its partitions, and commits what it has printed.

    python group_member.py 127.0.0.1:7101 billing orders

Start it several times: the members share the topic. Kill one: the others go on where it had committed.
producer.py says how to generate the stubs; docs/groups.md explains groups.
"""

import queue
import sys

import grpc

from flotilla.v1.group_pb2 import (
    CommitPosition,
    ConsumeCommit,
    ConsumeCredit,
    ConsumeHeartbeat,
    ConsumeRelease,
    ConsumeRequest,
    ConsumeStart,
)
from flotilla.v1.group_pb2_grpc import GroupServiceStub

SESSION_S = 2


def requests(outbox):
    """What is to be said; where there is nothing, a heartbeat, which keeps the lease."""
    while True:
        try:
            yield outbox.get(timeout=SESSION_S / 4)
        except queue.Empty:
            yield ConsumeRequest(heartbeat=ConsumeHeartbeat())


def consume(groups, group, topic, handle):
    """Hands every record of the member's partitions to `handle`, then commits: at least once."""
    outbox = queue.SimpleQueue()
    start = ConsumeStart(group=group, topics=[topic], credit=ConsumeCredit(records=1000, bytes=10_000_000))
    start.session_timeout.FromSeconds(SESSION_S)
    outbox.put(ConsumeRequest(start=start))
    for message in groups.Consume(requests(outbox)):
        kind = message.WhichOneof("message")
        if kind == "assigned":
            for given in message.assigned.partitions:
                print(f"assigned {given.topic}/{given.partition} from {given.start_offset}", flush=True)
        elif kind == "records":
            records = message.records
            for batch in records.batches:
                for offset, record in enumerate(batch.records.records, batch.base_offset):
                    handle(records.partition, offset, record)
                # What is handled may be sent anew.
                credit = ConsumeCredit(records=batch.record_count, bytes=max(1, batch.records.ByteSize()))
                outbox.put(ConsumeRequest(credit=credit))
            done = CommitPosition(
                topic=records.topic,
                partition=records.partition,
                offset=records.next_offset,
                epoch=records.epoch,
            )
            outbox.put(ConsumeRequest(commit=ConsumeCommit(correlation_id=1, positions=[done])))
        elif kind == "committed":
            for result in message.committed.results:
                if result.WhichOneof("result") == "error":
                    print(f"not committed: {result.error.message}", file=sys.stderr)
        elif kind == "revoked":
            # All that was handled is on its way to be committed, and messages keep their order.
            outbox.put(ConsumeRequest(release=ConsumeRelease(partitions=message.revoked.partitions)))
        elif kind == "lost":
            print(f"lost: {message.lost.error.message}", file=sys.stderr)


def main(address, group, topic):
    def handle(partition, offset, record):
        print(f"{topic}/{partition} @{offset}  {record.value.decode()}", flush=True)

    with grpc.insecure_channel(address) as channel:
        consume(GroupServiceStub(channel), group, topic, handle)


if __name__ == "__main__":
    main(*sys.argv[1:])
