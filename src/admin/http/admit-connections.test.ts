import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../../../test/kit/until.ts'
import { admitConnections } from './admit-connections.ts'

/** A server that admits one connection at once, and another one for each interval that the test lets pass. */
async function startServer() {
  let time = 0
  const admitted: string[] = []
  const server = createServer((request, response) => void response.end(String(request.headers.name)))
  server.on('connection', (socket: Socket) => admitted.push(`${socket.remoteAddress}:${socket.remotePort}`))
  const closeWaiting = admitConnections(server, { burst: 1, everyMs: 5, waiting: 3 }, () => time)
  let arrived = 0
  server.on('connection', () => arrived++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    closeWaiting()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const open = async (localAddress: string) => {
    const expected = arrived + 1
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {})
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    await until(() => arrived === expected)
    return { socket, name: `${localAddress}:${socket.localPort}` }
  }
  return { server, open, admitted, closeWaiting, pass: () => (time += 5) }
}

test('a connection above the burst is admitted after the interval, and networks take turns', async () => {
  const { open, admitted, pass } = await startServer()
  const flood = [await open('127.0.0.2'), await open('127.0.0.2'), await open('127.0.0.2')]
  const other = await open('127.0.0.3')
  expect(admitted).toEqual([flood[0]?.name])
  for (const [index, next] of [flood[1], other, flood[2]].entries()) {
    pass()
    await until(() => admitted.length === index + 2)
    expect(admitted.at(-1)).toBe(next?.name)
  }
})

test('a connection that waits is served with what it sent meanwhile', async () => {
  const { open, pass } = await startServer()
  await open('127.0.0.2')
  const { socket } = await open('127.0.0.2')
  let received = ''
  socket.on('data', (bytes) => {
    received += bytes
  })
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nName: late\r\n\r\n')
  pass()
  await until(() => received.endsWith('late'))
})

test('where too many wait, the oldest connection of the network with most of them is closed', async () => {
  const { open, admitted, pass } = await startServer()
  await open('127.0.0.9')
  const other = await open('127.0.0.3')
  const [oldest, second] = [await open('127.0.0.2'), await open('127.0.0.2')]
  const closed = once(oldest.socket, 'close')
  const third = await open('127.0.0.2')
  await closed
  for (const [index, next] of [other, second, third].entries()) {
    pass()
    await until(() => admitted.length === index + 2)
    expect(admitted.at(-1)).toBe(next.name)
  }
})

test('a server that closes, closes the connections that wait', async () => {
  const { server, open, closeWaiting } = await startServer()
  const first = await open('127.0.0.2')
  const { socket } = await open('127.0.0.2')
  const ended = once(server, 'close')
  first.socket.destroy()
  server.close()
  closeWaiting()
  await Promise.all([ended, once(socket, 'close')])
})
