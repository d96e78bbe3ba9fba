// Collects the inputs of a decision that are not in memory. Today these are the keys of an issuer; the wait for them is
// bounded. The decision itself, in apply-policy.ts, then waits for nothing.
import type { VerifiedToken } from '../../auth/verify-token.ts'
import type { AuthPolicy } from '../../model/auth.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { RouteMatch } from '../../model/route.ts'
import type { Access, Authenticate } from './authenticate.ts'
import { Refusal } from './refusal.ts'

/** Everything about one request that its policy depends on. */
export type Facts = {
  /** The client's own head: identity, token and decision depend on it alone. */
  readonly head: RequestHead
  /** The head to forward: the client's, with the changes that the route's middleware made. */
  readonly forwardedHead: RequestHead
  readonly match: RouteMatch
  /** Undefined if the route does not require a token and the request has none. */
  readonly token: VerifiedToken | undefined
}

/** @returns a promise only if the keys of an issuer must be fetched first, which takes two seconds at most */
export function gatherFacts(
  head: RequestHead,
  match: RouteMatch,
  plane: { readonly authenticate: (head: RequestHead, policy: AuthPolicy) => Access },
): Facts | Refusal
export function gatherFacts(
  head: RequestHead,
  match: RouteMatch,
  plane: { readonly authenticate: Authenticate },
  forwardedHead?: RequestHead,
): Facts | Refusal | Promise<Facts | Refusal>
export function gatherFacts(
  head: RequestHead,
  match: RouteMatch,
  plane: { readonly authenticate: Authenticate },
  forwardedHead = head,
): Facts | Refusal | Promise<Facts | Refusal> {
  const { auth } = match.route
  if (auth === undefined) return { head, forwardedHead, match, token: undefined }
  const access = plane.authenticate(head, auth)
  return access instanceof Promise
    ? access.then((settled) => factsOf(head, forwardedHead, match, settled))
    : factsOf(head, forwardedHead, match, access)
}

function factsOf(head: RequestHead, forwardedHead: RequestHead, match: RouteMatch, access: Access): Facts | Refusal {
  return access instanceof Refusal ? access : { head, forwardedHead, match, token: access }
}
