// What a gateway's process keeps: the heaps of all its threads once the garbage is collected. How much memory it holds
// besides is up to V8, which collects when it pleases.
import { once } from 'node:events'
import type { GatewayProcess } from './process.ts'

/** What Node is given so that {@link heapOf} can ask. */
export const INSPECTED = ['--inspect=127.0.0.1:0'] as const

type Said = { readonly id?: number; readonly method?: string; readonly params?: Message; readonly result?: Heap }
type Message = { readonly sessionId: string; readonly message: string }
type Heap = { readonly usedSize: number; readonly embedderHeapUsedSize: number; readonly backingStorageSize: number }
type Send = (method: string, params?: object) => Promise<Heap>

/** Bytes in use, by thread: the main one first. Collects all garbage before. */
export async function heapOf(gateway: GatewayProcess): Promise<readonly number[]> {
  // Where it begins anew it says so twice.
  const url = gateway
    .log()
    .match(/(?<=^Debugger listening on )ws:.+$/gm)
    ?.at(-1)
  if (url === undefined) throw new Error(`the gateway is not INSPECTED: ${gateway.log().slice(0, 200)}`)
  const socket = new WebSocket(url)
  await once(socket, 'open')
  try {
    const workers: string[] = []
    const awaited = new Map<string, (result: Heap) => void>()
    const hear = (thread: string, { id, result }: Said) => awaited.get(`${thread} ${id}`)?.(result as Heap)
    let asked = 0
    const sender = (thread: string, send: (text: string) => void): Send => {
      return (method, params = {}) =>
        new Promise((resolve) => {
          awaited.set(`${thread} ${++asked}`, resolve)
          send(JSON.stringify({ id: asked, method, params }))
        })
    }
    socket.addEventListener('message', ({ data }) => {
      const said = JSON.parse(String(data)) as Said
      if (said.method === 'NodeWorker.attachedToWorker') workers.push((said.params as Message).sessionId)
      if (said.method !== 'NodeWorker.receivedMessageFromWorker') return hear('main', said)
      const { sessionId, message } = said.params as Message
      hear(sessionId, JSON.parse(message) as Said)
    })
    const main = sender('main', (text) => socket.send(text))
    // Says which workers there are before it answers.
    await main('NodeWorker.enable', { waitForDebuggerOnStart: false })
    const others = workers.map((sessionId) =>
      sender(sessionId, (message) => void main('NodeWorker.sendMessageToWorker', { sessionId, message })),
    )
    const heaps: number[] = []
    for (const send of [main, ...others]) {
      await send('HeapProfiler.collectGarbage')
      const { usedSize, embedderHeapUsedSize, backingStorageSize } = await send('Runtime.getHeapUsage')
      heaps.push(usedSize + embedderHeapUsedSize + backingStorageSize)
    }
    return heaps
  } finally {
    socket.close()
  }
}
