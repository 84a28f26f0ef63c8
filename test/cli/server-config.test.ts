import { fc, test } from '@fast-check/vitest'
import { describe, expect, it } from 'vitest'
import { describeFaults, resolveServerConfig, type ConfigInput } from '../../src/cli/server-config.ts'

function faultsOf(input: Partial<ConfigInput>): string {
  const resolution = resolveServerConfig({ flags: {}, env: {}, ...input })
  if (resolution.ok) throw new Error(`it was taken: ${JSON.stringify(resolution.config)}`)
  return describeFaults(resolution.faults)
}

function configOf(input: Partial<ConfigInput>) {
  const resolution = resolveServerConfig({ flags: {}, env: {}, ...input })
  if (!resolution.ok) throw new Error(describeFaults(resolution.faults))
  return resolution
}

describe("a node's settings", () => {
  it('names every fault at once, each with its value, its rule and where it came from', () => {
    const text = faultsOf({
      flags: { listen: 'nowhere', limits: ['tick=7ms', 'nope=1'] },
      env: { FLOTILLA_CLUSTER_NAME: 'a b' },
      fileText: 'log-level = "loud"\ncolour = "red"\n',
      filePath: 'f.toml',
    })
    expect(text).toContain('6 settings are wrong')
    expect(text).toContain('id is missing (flag --id, environment FLOTILLA_ID)')
    expect(text).toContain('listen = "nowhere" (flag --listen): an address is HOST:PORT')
    expect(text).toContain('cluster-name = "a b" (environment FLOTILLA_CLUSTER_NAME): a name is 1 to 249')
    expect(text).toContain('log-level = "loud" (file f.toml, key log-level): it has to be one of debug')
    expect(text).toContain('colour = "red" (file f.toml, key colour): there is no such setting')
    expect(text).toContain('(flag --limit): there is no limit "nope"')
    expect(text).toContain('has to be a multiple of tick (7 ms)')
  })

  it('wants a cluster list that names the node itself', () => {
    expect(faultsOf({ flags: { id: 'n4', cluster: 'n1=h:1,n2=h:2' } })).toContain(
      'the list has to name the node itself, n4; it names n1, n2',
    )
  })

  it('refuses to join and to begin with a list, and an address that nobody else can reach', () => {
    const text = faultsOf({
      flags: { id: 'n4', cluster: 'n4=h:4', join: 'h:1', listen: '0.0.0.0:7101' },
    })
    expect(text).toContain('join = "h:1" (flag --join): a node either begins with a cluster list or joins')
    expect(text).toContain('listen is 0.0.0.0:7101')
  })

  it.each([
    ['', 'an address is HOST:PORT'],
    ['h', 'an address is HOST:PORT'],
    ['h:1,h:0', 'a port is 1 to 65535'],
  ])('refuses to join through %j', (join, reason) => {
    expect(faultsOf({ flags: { id: 'n4', join } })).toContain(reason)
  })

  it.each([
    ['n1=h:1,n1=h:2', 'the id "n1" is there twice'],
    ['n1=h:1,n2=h:1', 'n1 and n2 have the same address h:1'],
    ['n1=h:1,n2=h:0', 'a port is 1 to 65535'],
    ['n1=h:1,n2=h:65536', 'a port is 1 to 65535'],
    ['n1=h:1,n2', '"n2" is not ID=HOST:PORT'],
    ['n1=h:1,', '"" is not ID=HOST:PORT'],
    ['n1=h:1,a b=h:2', 'the id "a b"'],
    ['n1=h:1,..=h:2', 'the id ".."'],
    ['', 'is not ID=HOST:PORT'],
  ])('refuses the cluster list %j', (cluster, reason) => {
    expect(faultsOf({ flags: { id: 'n1', cluster } })).toContain(reason)
  })

  it.each(['', '.', '..', 'a/b', 'a b', 'é', 'x'.repeat(250)])('refuses the id %j', (id) => {
    expect(faultsOf({ flags: { id } })).toContain('a name is 1 to 249')
  })

  it.each([
    ['max-record-size=2MiB', '1 to 1048576 bytes'],
    ['max-record-size=many', 'max-record-size is "many"'],
    ['election-timeout=200', 'at least three times heartbeat'],
    ['append-timeout=1', '100 to 600000 ms'],
    ['max-open-streams=1.5', 'a whole number'],
    ['=3', 'limits are NAME=VALUE'],
    ['tick', 'limits are NAME=VALUE'],
  ])('refuses the limit %j', (limit, reason) => {
    expect(faultsOf({ flags: { id: 'n1', limits: [limit] } })).toContain(reason)
  })

  it('names a file that is no TOML', () => {
    expect(faultsOf({ flags: { id: 'n1' }, fileText: 'id = ', filePath: 'f.toml' })).toContain('f.toml')
  })

  it('runs a node alone by its id', () => {
    expect(configOf({ flags: { id: 'n1' } }).config).toEqual({
      logLevel: 'info',
      server: {
        nodeId: 'n1',
        listen: '127.0.0.1:7101',
        dataDirectory: 'data/n1',
        cluster: [{ nodeId: 'n1', address: '127.0.0.1:7101' }],
        clusterName: 'flotilla',
        hostLabel: 'n1',
        limits: {},
      },
    })
  })

  it('joins through other nodes, without a list of its own', () => {
    for (const join of ['"a:1, b:2"', '["a:1", "b:2"]']) {
      const { server } = configOf({ fileText: `id = "n4"\nlisten = "d:4"\njoin = ${join}` }).config
      expect(server).toMatchObject({ cluster: [], join: ['a:1', 'b:2'], listen: 'd:4' })
    }
  })

  it('listens where the cluster list says that the node is', () => {
    const { config, provenance } = configOf({ flags: { id: 'n2', cluster: 'n1=a:1, n2=b:2' } })
    expect(config.server.listen).toBe('b:2')
    expect(provenance.listen.source).toEqual({ type: 'default', from: "the node's address in cluster" })
  })

  it('takes a cluster in a file as text, list or table, and limits with units', () => {
    const nodes = [
      { nodeId: 'n1', address: 'a:1' },
      { nodeId: 'n2', address: '[::1]:2' },
    ]
    for (const cluster of [
      '"n1=a:1,n2=[::1]:2"',
      '["n1=a:1", "n2=[::1]:2"]',
      '{ n1 = "a:1", n2 = "[::1]:2" }',
    ]) {
      const fileText = `id = "n1"\ncluster = ${cluster}\n[limits]\ntick = 10\nsegment-size = "2 MiB"\nshutdown = "1s"`
      const { server } = configOf({ fileText }).config
      expect(server.cluster).toEqual(nodes)
      expect(server.limits).toEqual({ tickMs: 10, segmentBytes: 2 * 1024 * 1024, shutdownMs: 1000 })
    }
  })

  const place = fc.constantFrom('flag', 'environment', 'file')
  test.prop([fc.uniqueArray(place, { minLength: 1 })])(
    'a flag goes before the environment, that before a file',
    (places) => {
      const { config, provenance } = configOf({
        flags: { id: 'n1', ...(places.includes('flag') && { host: 'from-flag' }) },
        env: { FLOTILLA_HOST: places.includes('environment') ? 'from-environment' : '' },
        fileText: places.includes('file') ? 'host = "from-file"' : '',
      })
      const winner = (['flag', 'environment', 'file'] as const).find((each) => places.includes(each))
      expect(config.server.hostLabel).toBe(`from-${winner}`)
      expect(provenance.host.source.type).toBe(winner)
    },
  )

  const noise = fc.oneof(fc.string(), fc.constantFrom('n1', 'a:1', 'n1=a:1', 'tick=50', 'info', '=', ','))
  test.prop([
    fc.record(
      {
        id: noise,
        listen: noise,
        data: noise,
        cluster: noise,
        join: noise,
        host: noise,
        limits: fc.array(noise),
      },
      { requiredKeys: [] },
    ),
    fc.dictionary(fc.constantFrom('FLOTILLA_ID', 'FLOTILLA_CLUSTER', 'FLOTILLA_LIMITS'), noise),
    fc.oneof(
      noise,
      fc.constant('id = 5'),
      fc.constant('limits = 3'),
      fc.constant('cluster = [1]'),
      fc.constant('id = 2020-01-01'),
    ),
  ])(
    'whatever is given, it is either complete and names the node itself, or has faults; it never throws',
    (flags, env, fileText) => {
      const resolution = resolveServerConfig({ flags, env, fileText })
      if (!resolution.ok) {
        expect(resolution.faults.length).toBeGreaterThan(0)
        expect(describeFaults(resolution.faults)).not.toBe('')
        return
      }
      const { server } = resolution.config
      if (server.join !== undefined) expect(server.cluster).toEqual([])
      else expect(server.cluster.map(({ nodeId }) => nodeId)).toContain(server.nodeId)
      expect(new Set(server.cluster.map(({ nodeId }) => nodeId)).size).toBe(server.cluster.length)
    },
  )
})
