import type { CallContext, Clock, Handler, Random } from '../../env/index.ts'
import { asGroupId } from '../../log/types.ts'
import { FlotillaError, topicMethods } from '../../wire/index.ts'
import type {
  CreateTopicRequest,
  CreateTopicResponse,
  DeleteTopicRequest,
  DeleteTopicResponse,
  GetTopicResponse,
  ListTopicsRequest,
  ListTopicsResponse,
} from '../../wire/messages.ts'
import type { Node } from '../node.ts'
import { FORWARDED } from '../routing/connections.ts'
import type { MetadataCalls } from '../routing/metadata-calls.ts'
import { answering } from './answering.ts'

const DEFAULT_PAGE = 100
const MAX_PAGE = 1000
/** A new topic is answered when its partitions have leaders, but not later than this. */
const LEADERS_WAIT_MS = 5000

/** flotilla.v1.TopicService */
export class TopicService {
  readonly #node: Node
  readonly #calls: MetadataCalls
  readonly #clock: Clock
  readonly #random: Random

  constructor(node: Node, calls: MetadataCalls, clock: Clock, random: Random) {
    this.#node = node
    this.#calls = calls
    this.#clock = clock
    this.#random = random
  }

  handlers(): Handler[] {
    return [
      answering(topicMethods.createTopic, (request, call) => this.#create(request, call)),
      answering(topicMethods.getTopic, (request, call) => this.#get(request.name, call)),
      answering(topicMethods.listTopics, async (request, call) => {
        await this.#calls.untilRegistered(this.#calls.deadlineOf(call))
        return this.#list(request)
      }),
      answering(topicMethods.deleteTopic, (request, call) => this.#delete(request, call)),
    ]
  }

  async #create(request: CreateTopicRequest, call: CallContext): Promise<CreateTopicResponse> {
    const response = await this.#calls.onLeader(
      topicMethods.createTopic,
      request,
      call,
      async (deadlineMs) => {
        const topicId = Buffer.from(this.#random.bytes(16)).toString('hex')
        const result = await this.#calls.change({ type: 'createTopic', request, topicId }, deadlineMs)
        if (result.type !== 'topic')
          throw new FlotillaError('INTERNAL', `creating a topic gave ${result.type}`)
        return { topic: this.#node.view.topicMessage(result.topic) }
      },
    )
    if (request.validateOnly === true) return response
    const deadlineMs = this.#calls.deadlineOf(call)
    await this.#calls.untilFolded(() => this.#node.view.state.topics.has(request.name), deadlineMs)
    const waitUntil = Math.min(deadlineMs, this.#clock.nowMs() + LEADERS_WAIT_MS)
    for (const { groupId } of response.topic.partitions) {
      await this.#node.leaders.waitFor(asGroupId(groupId), waitUntil, call.signal)
    }
    const topic = this.#node.view.state.topics.get(request.name)
    return topic === undefined ? response : { topic: this.#node.view.topicMessage(topic) }
  }

  async #get(name: string, call: CallContext): Promise<GetTopicResponse> {
    await this.#calls.ensureTopic(name, this.#calls.deadlineOf(call), call.metadata.has(FORWARDED))
    return { topic: this.#node.view.topicMessage(this.#node.view.topic(name)) }
  }

  #list({ pageSize = 0, pageToken = '' }: ListTopicsRequest): ListTopicsResponse {
    if (pageSize < 0 || pageSize > MAX_PAGE) {
      throw new FlotillaError('INVALID_ARGUMENT', `page_size is ${pageSize}, but has to be 0 to ${MAX_PAGE}`)
    }
    const after = Buffer.from(pageToken, 'base64url').toString('utf8')
    const names = [...this.#node.view.state.topics.keys()].toSorted().filter((name) => name > after)
    const page = names.slice(0, pageSize === 0 ? DEFAULT_PAGE : pageSize)
    const last = page.at(-1)
    return {
      topics: page.map((name) => this.#node.view.topicMessage(this.#node.view.topic(name))),
      nextPageToken:
        last === undefined || page.length === names.length ? '' : Buffer.from(last).toString('base64url'),
    }
  }

  async #delete(request: DeleteTopicRequest, call: CallContext): Promise<DeleteTopicResponse> {
    const response = await this.#calls.onLeader(
      topicMethods.deleteTopic,
      request,
      call,
      async (deadlineMs) => {
        await this.#calls.change({ type: 'deleteTopic', request }, deadlineMs)
        return {}
      },
    )
    await this.#calls.untilFolded(
      () => !this.#node.view.state.topics.has(request.name),
      this.#calls.deadlineOf(call),
    )
    return response
  }
}
