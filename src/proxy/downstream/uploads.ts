// Counts requests whose body is still arriving: those of each client at upstreams, and those that wait for a connection.

/** The most uploads that may wait for a connection. Each may hold 64 KiB of its body in memory. */
const MOST_HELD = 1024

export class Uploads {
  readonly #byClient = new Map<string, number>()
  #held = 0

  /**
   * @param client the client's address, behind trusted proxies
   * @param limit the most uploads that one client may have at a time
   * @returns false if the client has reached the limit; otherwise the caller must call `end` later
   */
  begin(client: string, limit: number): boolean {
    const count = this.#byClient.get(client) ?? 0
    if (count >= limit) return false
    this.#byClient.set(client, count + 1)
    return true
  }

  end(client: string): void {
    const count = (this.#byClient.get(client) ?? 0) - 1
    if (count > 0) this.#byClient.set(client, count)
    else this.#byClient.delete(client)
  }

  /** @returns false if too many uploads wait; otherwise the caller must call `release` later */
  hold(): boolean {
    if (this.#held >= MOST_HELD) return false
    this.#held++
    return true
  }

  release(): void {
    this.#held--
  }
}
