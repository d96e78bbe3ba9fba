// Errors as RFC 9457 problem documents.
import type { Response } from 'express'

export function sendProblem(response: Response, status: number, title: string): void {
  response
    .status(status)
    .type('application/problem+json')
    .send(JSON.stringify({ type: 'about:blank', title, status }))
}
