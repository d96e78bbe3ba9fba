import type { Page } from './shop.ts'

export function renderJson({ status, visit: _, page, total, items, banner, ...rest }: Page): string {
  if (status >= 400) return JSON.stringify({ error: 'no such category', requestId: rest.requestId })
  return JSON.stringify({ ...rest, banner: { text: banner }, page: { number: page, total }, items })
}
