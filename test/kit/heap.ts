// Reads the heap sizes of all threads of a gateway after a garbage collection. Resident memory is no measure: V8 decides when it
// returns memory to the system.
import { once } from 'node:events'
import type { GatewayProcess } from './process.ts'

/** The option of Node with which {@link readHeaps} can connect. */
export const INSPECTED = ['--inspect=127.0.0.1:0'] as const

type InspectorMessage = {
  readonly id?: number
  readonly method?: string
  readonly params?: WorkerMessage
  readonly result?: Heap
}
type WorkerMessage = { readonly sessionId: string; readonly message: string }
type Heap = { readonly usedSize: number; readonly embedderHeapUsedSize: number; readonly backingStorageSize: number }
type Send = (method: string, params?: object) => Promise<Heap>

/** Collects all garbage. @returns the bytes in use by thread, the main thread first */
export async function readHeaps(gateway: GatewayProcess): Promise<readonly number[]> {
  // A gateway that replaces its own process prints the line twice.
  const url = gateway
    .log()
    .match(/(?<=^Debugger listening on )ws:.+$/gm)
    ?.at(-1)
  if (url === undefined) throw new Error(`the gateway is not INSPECTED: ${gateway.log().slice(0, 200)}`)
  const socket = new WebSocket(url)
  await once(socket, 'open')
  try {
    const workers: string[] = []
    const pending = new Map<string, (result: Heap) => void>()
    const receive = (thread: string, { id, result }: InspectorMessage) =>
      pending.get(`${thread} ${id}`)?.(result as Heap)
    let lastId = 0
    const sender = (thread: string, send: (text: string) => void): Send => {
      return (method, params = {}) =>
        new Promise((resolve) => {
          pending.set(`${thread} ${++lastId}`, resolve)
          send(JSON.stringify({ id: lastId, method, params }))
        })
    }
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data)) as InspectorMessage
      if (message.method === 'NodeWorker.attachedToWorker') workers.push((message.params as WorkerMessage).sessionId)
      if (message.method !== 'NodeWorker.receivedMessageFromWorker') return receive('main', message)
      const { sessionId, message: text } = message.params as WorkerMessage
      receive(sessionId, JSON.parse(text) as InspectorMessage)
    })
    const main = sender('main', (text) => socket.send(text))
    // Node reports its workers before it answers.
    await main('NodeWorker.enable', { waitForDebuggerOnStart: false })
    const workerSenders = workers.map((sessionId) =>
      sender(sessionId, (message) => void main('NodeWorker.sendMessageToWorker', { sessionId, message })),
    )
    const heaps: number[] = []
    for (const send of [main, ...workerSenders]) {
      await send('HeapProfiler.collectGarbage')
      const { usedSize, embedderHeapUsedSize, backingStorageSize } = await send('Runtime.getHeapUsage')
      heaps.push(usedSize + embedderHeapUsedSize + backingStorageSize)
    }
    return heaps
  } finally {
    socket.close()
  }
}
