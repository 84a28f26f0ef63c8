/** HOST:PORT in its parts. Throws TypeError on anything else. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, at)
  const port = Number(address.slice(at + 1))
  if (at < 1 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new TypeError(`${address} is no HOST:PORT; the port is 0 to 65535`)
  }
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port }
}
