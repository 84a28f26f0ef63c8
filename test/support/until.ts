/** Waits until `holds` gives a value other than undefined or false, asking again every few milliseconds; fails after `withinMs`. */
export async function until<T>(
  what: string,
  holds: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const value = await holds()
    if (value !== undefined && value !== false) return value
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
