import { fileURLToPath } from 'node:url'
import type { Server } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition } from '@grpc/proto-loader'
import { ReflectionService } from '@grpc/reflection'

let definition: PackageDefinition | undefined

/** Serves grpc.reflection.v1 and v1alpha for the project's public protos. */
export function addReflection(server: Server): void {
  definition ??= loadSync(
    [
      'flotilla/v1/log.proto',
      'flotilla/v1/topic.proto',
      'flotilla/v1/cluster.proto',
      'flotilla/v1/group.proto',
    ],
    {
      includeDirs: [fileURLToPath(new URL('../../../proto', import.meta.url))],
    },
  )
  new ReflectionService(definition).addToServer(server)
}
