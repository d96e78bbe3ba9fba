// Requests whose body is still arriving: how many one client may have at upstreams, and how many wait without a connection.

/** Such requests that wait until their body is there or a place is free. Each may keep 64 KiB of its body in memory. */
const MOST_HELD = 1024

export class Uploads {
  readonly #byClient = new Map<string, number>()
  #held = 0

  /**
   * @param client the client's address, behind trusted proxies
   * @param limit the most that one client may have at a time
   * @returns false where the client has as many; each that was begun is given back by `end`
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

  /** @returns false where too many wait already; each that was held is given back by `release` */
  hold(): boolean {
    if (this.#held >= MOST_HELD) return false
    this.#held++
    return true
  }

  release(): void {
    this.#held--
  }
}
