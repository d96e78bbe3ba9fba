// Shadowing, turned on and off while the gateway runs, as an operator does: `strangler shadow catalog 100`.

export const ADMIN_TOKEN = 'only-for-the-time-of-a-bench-run'

/** @param metricsUrl where the gateway's admin port is */
export function createSwitch(metricsUrl: string) {
  const url = new URL('/api/v1/contexts/catalog/shadow', metricsUrl)
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' }
  return {
    turn: async (state: 'on' | 'off'): Promise<void> => {
      const body = JSON.stringify({ percentage: state === 'on' ? 100 : 0, reason: 'bench' })
      const answer = await fetch(url, { method: 'PUT', headers, body })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`shadowing could not be turned ${state}: ${answer.status} ${text}`)
    },
  }
}
