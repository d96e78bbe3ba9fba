// Two services with the same pages: one answers with JSON, the other with HTML.
import type { ComparedResponse } from '../../src/shadow/compare/compare-answers.ts'
import { renderHtml } from './render-html.ts'
import { renderJson } from './render-json.ts'
import type { Page } from './shop.ts'

export const FAMILY_NAMES = ['json', 'html'] as const
export type FamilyName = (typeof FAMILY_NAMES)[number]

export const OTHER: Readonly<Record<FamilyName, FamilyName>> = { json: 'html', html: 'json' }

const FAMILIES: Readonly<Record<FamilyName, { readonly type: string; readonly render: (page: Page) => string }>> = {
  json: { type: 'application/json', render: renderJson },
  html: { type: 'text/html; charset=utf-8', render: renderHtml },
}

/** The response as a server sends it. */
export function answerIn(family: FamilyName, page: Page): ComparedResponse {
  const { type, render } = FAMILIES[family]
  const body = Buffer.from(render(page))
  const headers = ['Content-Type', type, 'Content-Length', `${body.length}`, 'Cache-Control', 'no-store']
  if (page.visit !== undefined) headers.push('Set-Cookie', `visit=${page.visit}; Path=/; HttpOnly`)
  return { status: page.status, headers, body, isTruncated: false }
}
