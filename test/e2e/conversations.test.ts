// Clients without cookies: their requests stay on one side if the route or the context decides by the client address.
import { expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startNamedOrigin } from '../kit/origin.ts'

it('anonymous: "ip" of a context or a route keeps clients without cookies on one side', async () => {
  const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
  const shared = { owner: 'team', service: 'chat' }
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      services: { chat: { url: service.url } },
      contexts: {
        chat: { ...shared, flag: 'chat', routes: ['/socket.io/*'], anonymous: 'ip' },
        git: { ...shared, flag: 'git', routes: [{ path: '/repo.git/*', anonymous: 'ip' }, '/pages/*'] },
      },
    },
    { percentages: { chat: 50, git: 50 } },
  )
  const ask = async (path: string) => {
    const answers = Array.from({ length: 40 }, () => fetch(`http://127.0.0.1:${gateway.port}${path}`))
    const responses = await Promise.all(answers)
    for (const response of responses) await response.arrayBuffer()
    return {
      sides: new Set(responses.map((response) => response.headers.get('x-side'))).size,
      cookies: responses.filter((response) => response.headers.has('set-cookie')).length,
    }
  }
  expect(await ask('/socket.io/?EIO=4&transport=polling')).toEqual({ sides: 1, cookies: 0 })
  expect(await ask('/repo.git/git-receive-pack')).toEqual({ sides: 1, cookies: 0 })
  expect(await ask('/pages/x')).toEqual({ sides: 2, cookies: 40 })
})
