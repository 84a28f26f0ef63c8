import { expect, it } from 'vitest'
import { Strangers } from '../../../src/broker/membership/strangers.ts'

it('as many nodes that are not known as may help are remembered, the newest of them', () => {
  const strangers = new Strangers()
  for (let node = 1; node <= 20; node++) strangers.came(`n${node}:1`)
  strangers.came('n14:1')
  expect([...strangers.addresses]).toEqual([
    'n13:1',
    'n15:1',
    'n16:1',
    'n17:1',
    'n18:1',
    'n19:1',
    'n20:1',
    'n14:1',
  ])
})
