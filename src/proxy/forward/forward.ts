// Sends a request to the decided side and returns an Outcome; it never throws. exchange.ts contains the steps.
import type { Outcome } from '../../model/outcome.ts'
import { Uploads } from '../downstream/uploads.ts'
import { Exchange } from './exchange.ts'
import type { ForwardDependencies, Forwarding } from './forwarding.ts'

export function createForward(dependencies: ForwardDependencies) {
  const exchanges = new Set<Exchange>()
  const uploads = new Uploads()
  return {
    /** Requests in progress. */
    exchanges: exchanges as ReadonlySet<Exchange>,
    forward: (forwarding: Forwarding): Promise<Outcome> =>
      new Promise((settle) => {
        const exchange = new Exchange(dependencies, forwarding, exchanges, uploads, settle)
        exchanges.add(exchange)
        exchange.start()
      }),
  }
}
