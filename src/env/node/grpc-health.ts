import {
  type sendUnaryData,
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js'
import { service } from 'grpc-health-check'
import type { HealthSource } from '../network.ts'

interface HealthRequest {
  readonly service: string
}
interface HealthResponse {
  readonly status: 'SERVING' | 'NOT_SERVING' | 'SERVICE_UNKNOWN'
}

/** Serves grpc.health.v1.Health: https://github.com/grpc/grpc/blob/master/doc/health-checking.md */
export function addHealth(server: Server, source: HealthSource): void {
  const stateOf = (name: string): HealthResponse['status'] => {
    if (!source.services.includes(name)) return 'SERVICE_UNKNOWN'
    return source.isServing(name) ? 'SERVING' : 'NOT_SERVING'
  }
  server.addService(service, {
    check(call: ServerUnaryCall<HealthRequest, HealthResponse>, reply: sendUnaryData<HealthResponse>) {
      const state = stateOf(call.request.service)
      if (state !== 'SERVICE_UNKNOWN') reply(null, { status: state })
      else
        reply({
          code: status.NOT_FOUND,
          details: `no service is named ${JSON.stringify(call.request.service)}`,
        })
    },
    watch(call: ServerWritableStream<HealthRequest, HealthResponse>) {
      const name = call.request.service
      let told: HealthResponse['status'] | undefined
      const tell = (): void => {
        const state = stateOf(name)
        if (state === told) return
        told = state
        call.write({ status: state })
      }
      tell()
      call.on('cancelled', source.onChange(tell))
    },
    list(_call: unknown, reply: sendUnaryData<{ statuses: Record<string, HealthResponse> }>) {
      const statuses = source.services.map((name) => [name, { status: stateOf(name) }] as const)
      reply(null, { statuses: Object.fromEntries(statuses) })
    },
  })
}
