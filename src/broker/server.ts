import type { Cancel, Env, Handler, HealthSource, Listener } from '../env/index.ts'
import { openLogStorage } from '../log/index.ts'
import { asNodeId } from '../raft/types.ts'
import { CLUSTER_SERVICE, GROUP_SERVICE, LOG_SERVICE, TOPIC_SERVICE } from '../wire/index.ts'
import type { ServerConfig } from './config.ts'
import { Admission } from './membership/admission.ts'
import { Lives } from './membership/lives.ts'
import { ConsumeSessions } from './groups/consume-sessions.ts'
import { GroupCoordinator } from './groups/coordinator.ts'
import { GroupCalls } from './groups/group-calls.ts'
import { GroupReset } from './groups/group-reset.ts'
import { METADATA_GROUP, Node } from './node.ts'
import { Registration } from './registration.ts'
import { AppendRouter } from './routing/append-router.ts'
import { MetadataCalls } from './routing/metadata-calls.ts'
import { Gate } from './services/gate.ts'
import { ClusterService } from './services/cluster-service.ts'
import { EntryService } from './services/entry-service.ts'
import { GroupService } from './services/group-service.ts'
import { LogService } from './services/log-service.ts'
import { MembershipService } from './services/membership-service.ts'
import { OpenStreams } from './services/open-streams.ts'
import { TopicService } from './services/topic-service.ts'
import { tuningOf, type Tuning } from './tuning.ts'

export interface RunningServer {
  readonly nodeId: string
  /** HOST:PORT with the port really taken. */
  readonly address: string
  /** Resolves when the cluster knows this node and has a leader of its metadata group; rejects where it is closed before. */
  readonly ready: Promise<void>
  /** Resolves if the node had to give up by itself: its disk failed, another node has its id, an invariant broke. */
  readonly failed: Promise<Error>
  /** What the node carries right now. */
  load(): ServerLoad
  /** Hands leadership over (unless told not to), ends what is under way and closes the store. Idempotent. */
  close(options?: { readonly handOver?: boolean }): Promise<void>
}

export interface ServerLoad {
  /** Replicas hosted, the metadata group's included. */
  readonly replicas: number
  /** Of these, the ones in which something happens; the others cost nothing. */
  readonly awakeReplicas: number
}

/**
 * Starts one node. Throws StoreLockedError, FolderMismatchError, AddressInUseError or what the disk says; nothing is
 * left running then.
 */
export async function startServer(env: Env, config: ServerConfig): Promise<RunningServer> {
  const tuning = tuningOf(asNodeId(config.nodeId), config.limits)
  const identity = { clusterName: config.clusterName, nodeId: config.nodeId }
  const storage = await openLogStorage(env, config.dataDirectory, identity, tuning.log)
  let reportFailure: (error: Error) => void = () => undefined
  const failed = new Promise<Error>((resolve) => (reportFailure = resolve))
  const gate = new Gate(config.nodeId)
  let node: Node
  let services: Services
  let listener: Listener
  try {
    const lives = await Lives.open(env.disk.files, config.dataDirectory)
    node = new Node(env, config, tuning, storage, lives, (error) => reportFailure(error))
    services = servicesOf(env, config, tuning, node)
    await node.load()
    listener = await env.network.listen({
      address: config.listen,
      handlers: [...services.handlers, node.links.handler()].map((handler) => gate.guard(handler)),
      health: healthOf(node),
      reflection: true,
      maxReceiveBytes: tuning.records.maxBatchBytes + 1024 * 1024,
    })
  } catch (error) {
    await storage.close()
    throw error
  }
  const own = config.cluster.find((member) => member.nodeId === config.nodeId)
  const entry = {
    nodeId: config.nodeId,
    address: own?.address ?? listener.address,
    hostLabel: config.hostLabel,
  }
  node.start(entry.address)
  services.start()
  const admission = new Admission(node, entry, config, env)
  admission.start()
  const registration = new Registration(node, entry, env)
  registration.start()
  env.logger.info(
    { node: config.nodeId, address: listener.address, cluster: config.clusterName },
    'listening',
  )

  const close = async (handOver: boolean): Promise<void> => {
    admission.close()
    registration.close()
    if (handOver) await node.handOver(tuning.shutdownMs)
    gate.close()
    // Streams end before the listener closes, so that it needn't wait for them; answers still go out.
    services.endStreams()
    await node.close()
    await listener.close(handOver ? GRACE_MS : 0)
    await storage.close()
  }
  const ready = registration.done()
  // Whoever waits for it is told that the node was closed before; it is no fault where nobody waits.
  ready.catch(() => undefined)
  let closing: Promise<void> | undefined
  return {
    nodeId: config.nodeId,
    address: listener.address,
    ready,
    failed,
    load: () => ({ replicas: node.loop.replicas.size, awakeReplicas: node.loop.awakeCount }),
    close: ({ handOver = true } = {}) => (closing ??= close(handOver)),
  }
}

/** At a stop: for answers that are on their way to callers. */
const GRACE_MS = 500

interface Services {
  readonly handlers: readonly Handler[]
  start(): void
  endStreams(): void
}

function servicesOf(env: Env, config: ServerConfig, tuning: Tuning, node: Node): Services {
  const calls = new MetadataCalls(node, env.clock)
  const router = new AppendRouter(node, calls, env.clock, tuning.records, tuning.maxInflightBytesPerNode)
  const streams = new OpenStreams(tuning.maxOpenStreams)
  const log = new LogService(node, calls, router, streams, env.clock, tuning)
  const topics = new TopicService(node, calls, env.clock, env.random)
  const membership = new MembershipService(node, calls, config.clusterName)
  const cluster = new ClusterService(node, calls, streams, env.clock, {
    clusterName: config.clusterName,
    transferMs: tuning.transferMs,
  })
  const coordinator = new GroupCoordinator(node, env.clock, env.logger)
  const groups = groupServiceOf(env, node, calls, log, streams, coordinator)
  const entries = new EntryService(node.storage)
  return {
    handlers: [log, topics, cluster, membership, groups, entries].flatMap((service) => service.handlers()),
    start: () => coordinator.start(),
    endStreams: () => {
      coordinator.close()
      groups.close()
      cluster.close()
      log.close()
    },
  }
}

function groupServiceOf(
  env: Env,
  node: Node,
  metadata: MetadataCalls,
  log: LogService,
  streams: OpenStreams,
  coordinator: GroupCoordinator,
): GroupService {
  const calls = new GroupCalls(node, coordinator, env.clock)
  return new GroupService({
    node,
    calls,
    metadata,
    reset: new GroupReset(node, calls, (request, call) => log.listOffsets(request, call)),
    sessions: new ConsumeSessions(calls, env.clock),
    streams,
    clock: env.clock,
    random: env.random,
    logger: env.logger,
  })
}

/** Serving means: the cluster knows this node, and the metadata group has a leader, so a majority is there. */
function healthOf(node: Node): HealthSource {
  return {
    services: ['', LOG_SERVICE, TOPIC_SERVICE, CLUSTER_SERVICE, GROUP_SERVICE],
    isServing: () =>
      !node.isStopping && node.isRegistered && node.leaders.get(METADATA_GROUP)?.leader !== undefined,
    onChange(listener): Cancel {
      const tell = (): void => {
        for (const service of this.services) listener(service)
      }
      const stopWatching = node.view.watch(tell)
      const stopListening = node.leaders.onChange((groupId) => {
        if (groupId === METADATA_GROUP) tell()
      })
      return () => {
        stopWatching()
        stopListening()
      }
    },
  }
}
