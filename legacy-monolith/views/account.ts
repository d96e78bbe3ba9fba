// Login, registration, account.
import type { User } from '../session.ts'
import { type Html, html } from './html.ts'

export function loginPage(next: string, problem?: string): Html {
  return html`${problem !== undefined && html`<p role="alert">${problem}</p>`}
<form method="post" action="/login">
<input type="hidden" name="next" value="${next}">
<label>E-mail <input name="email" type="email" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button>
</form>
<p><a href="/register">New here?</a></p>`
}

export function registerPage(problem?: string): Html {
  return html`${problem !== undefined && html`<p role="alert">${problem}</p>`}
<form method="post" action="/register">
<label>Name <input name="name" autocomplete="name" required></label>
<label>E-mail <input name="email" type="email" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="new-password" minlength="10" required></label>
<button>Open the account</button>
</form>`
}

export function accountPage(user: User, saved: boolean): Html {
  return html`${saved && html`<p role="status">Saved.</p>`}
<p>Signed in as ${user.email}.</p>
<form method="post" action="/account">
<label>Name <input name="name" value="${user.name}" required></label>
<label>Address <input name="address" value="${user.address}"></label>
<button>Save</button>
</form>
<p><a href="/orders">Orders</a>${user.role === 'staff' && html` · <a href="/exports/orders.csv">All orders as CSV</a>`}</p>
<form method="post" action="/logout"><button>Sign out</button></form>`
}
