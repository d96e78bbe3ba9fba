// The page for what is not there.
import { type Html, html } from './html.ts'

export function problemPage(message: string): Html {
  return html`<p>${message}</p>
<p><a href="/">Back to the front page</a></p>`
}
