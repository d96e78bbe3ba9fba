// The page for missing resources.
import { type Html, html } from './html.ts'

export function problemPage(message: string): Html {
  return html`<p>${message}</p>
<p><a href="/">Back to the front page</a></p>`
}
