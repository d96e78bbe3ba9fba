// The place that a request needs at an address, and for its client, while its body is still arriving.
import type { Uploads } from '../downstream/uploads.ts'
import type { ConnectionPool } from '../upstream/connection-pool.ts'

/** Takes at most one place at a time. The limits keep slow clients from using all connections of an upstream. */
export class UploadSlot {
  readonly #uploads: Uploads
  readonly #client: string
  readonly #clientLimit: number
  #pool: ConnectionPool | undefined = undefined

  /**
   * @param client the address of the client, behind trusted proxies
   * @param clientLimit the largest number of places that one client may have
   */
  constructor(uploads: Uploads, client: string, clientLimit: number) {
    this.#uploads = uploads
    this.#client = client
    this.#clientLimit = clientLimit
  }

  /** @returns false when the address or the client has reached its limit of uploads */
  take(pool: ConnectionPool): boolean {
    if (!pool.beginUpload()) return false
    if (!this.#uploads.begin(this.#client, this.#clientLimit)) {
      pool.endUpload()
      return false
    }
    this.#pool = pool
    return true
  }

  /** Gives the place back, if one was taken. */
  release(): void {
    if (this.#pool === undefined) return
    this.#pool.endUpload()
    this.#pool = undefined
    this.#uploads.end(this.#client)
  }
}
