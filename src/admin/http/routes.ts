// The table of everything the admin surface answers. What Express serves, and what the OpenAPI document says, is this.
import type { Response } from 'express'
import { z } from 'zod'
import * as contract from '../contract/contract.ts'
import { PATHS } from '../contract/contract.ts'
import { showAudit, verifyAudit } from '../handlers/audit.ts'
import * as change from '../handlers/changes.ts'
import * as comparison from '../handlers/comparisons.ts'
import { watch } from '../handlers/events.ts'
import { printMetrics, sayAlive, sayReadiness } from '../handlers/health.ts'
import * as view from '../handlers/views.ts'
import { openapi } from './openapi.ts'
import { type ApiRoute, route } from './route.ts'
import type { AdminServices } from './server.ts'

export type OpenRoute = {
  readonly path: string
  readonly summary: string
  /** The media type of its answer. */
  readonly type: string
  /** What a 503 with an answer of that type means, where there may be one. */
  readonly unready?: string
  readonly handle: (services: AdminServices, response: Response) => void | Promise<void>
}

/** For machines, by GET, without a token. */
export const OPEN_ROUTES: readonly OpenRoute[] = [
  { path: '/livez', summary: 'Whether the process answers', type: 'application/json', handle: sayAlive },
  {
    path: '/readyz',
    summary: 'Whether to send it traffic',
    type: 'application/json',
    unready: 'It should be sent none',
    handle: sayReadiness,
  },
  { path: '/metrics', summary: 'Metrics, for Prometheus', type: 'text/plain', handle: printMetrics },
]

/** For people and their programs, below {@link contract.API}. */
export const API_ROUTES: readonly ApiRoute[] = [
  route({
    method: 'get',
    path: PATHS.status,
    role: 'viewer',
    summary: 'Everything at a glance',
    input: contract.nothingAsked,
    answer: contract.statusView,
    handle: view.showStatus,
  }),
  route({
    method: 'get',
    path: PATHS.contexts,
    role: 'viewer',
    summary: 'All contexts',
    input: contract.nothingAsked,
    answer: contract.contextsView,
    handle: view.showContexts,
  }),
  route({
    method: 'get',
    path: PATHS.context,
    role: 'viewer',
    summary: 'One context',
    input: contract.nothingAsked,
    answer: contract.contextView,
    handle: view.showContext,
  }),
  route({
    method: 'put',
    path: PATHS.flag,
    role: 'operator',
    summary: 'Flip: how many of a hundred people the service answers',
    input: contract.flipAsked,
    answer: contract.done,
    handle: change.flip,
  }),
  route({
    method: 'put',
    path: PATHS.pin,
    role: 'operator',
    summary: 'Pin: one side answers everybody, until then',
    input: contract.pinAsked,
    answer: contract.done,
    handle: change.pin,
  }),
  route({
    method: 'delete',
    path: PATHS.pin,
    role: 'operator',
    summary: 'Unpin: the flag decides again',
    input: contract.undoAsked,
    answer: contract.done,
    handle: change.unpin,
  }),
  route({
    method: 'put',
    path: PATHS.freeze,
    role: 'operator',
    summary: 'Freeze: nobody moves the context but by rollback and kill',
    input: contract.reasonAsked,
    answer: contract.done,
    handle: change.freeze,
  }),
  route({
    method: 'delete',
    path: PATHS.freeze,
    role: 'operator',
    summary: 'Thaw',
    input: contract.undoAsked,
    answer: contract.done,
    handle: change.thaw,
  }),
  route({
    method: 'put',
    path: PATHS.shadow,
    role: 'operator',
    summary: 'Shadow: how many of a hundred eligible requests are copied to the other side, to compare the answers',
    input: contract.shadowAsked,
    answer: contract.done,
    handle: change.shadow,
  }),
  route({
    method: 'delete',
    path: PATHS.shadow,
    role: 'operator',
    summary: 'Shadow as its config says',
    input: contract.undoAsked,
    answer: contract.done,
    handle: change.shadowAsConfigured,
  }),
  route({
    method: 'post',
    path: PATHS.rollback,
    role: 'operator',
    summary: 'Rollback: everything of the context to legacy, now',
    input: contract.rollbackAsked,
    answer: contract.done,
    handle: change.rollback,
  }),
  route({
    method: 'get',
    path: PATHS.parity,
    role: 'viewer',
    summary: 'How alike the two sides answer, and where each eligible request is',
    input: contract.parityAsked,
    answer: contract.parityView,
    handle: comparison.showParity,
  }),
  route({
    method: 'get',
    path: PATHS.differences,
    role: 'viewer',
    summary: 'What the two sides differ in, by route and field',
    input: contract.windowAsked,
    answer: contract.differencesView,
    handle: comparison.showDifferences,
  }),
  route({
    method: 'post',
    path: PATHS.tryRule,
    role: 'viewer',
    summary: 'What rules would make of the examples that are kept; nothing is changed',
    input: contract.tryRuleAsked,
    answer: contract.ruleTrial,
    onlyAsks: true,
    handle: comparison.tryRule,
  }),
  route({
    method: 'get',
    path: PATHS.difference,
    role: 'viewer',
    summary: 'One difference, with its examples',
    input: contract.windowAsked,
    answer: contract.differenceView,
    handle: comparison.showDifference,
  }),
  route({
    method: 'put',
    path: PATHS.ruling,
    role: 'operator',
    summary: 'Rule: it is real, or is noise, whatever the numbers say',
    input: contract.rulingAsked,
    answer: contract.done,
    handle: comparison.rule,
  }),
  route({
    method: 'delete',
    path: PATHS.ruling,
    role: 'operator',
    summary: 'Leave it to the numbers again',
    input: contract.undoAsked,
    answer: contract.done,
    handle: comparison.unrule,
  }),
  route({
    method: 'put',
    path: PATHS.resolution,
    role: 'operator',
    summary: 'Resolve: it was mended; it is open again once it is seen',
    input: contract.reasonAsked,
    answer: contract.done,
    handle: comparison.resolve,
  }),
  route({
    method: 'get',
    path: PATHS.export,
    role: 'viewer',
    summary: 'The request that showed it, masked: as command lines, or as a test',
    input: contract.exportAsked,
    answer: contract.exportedRequest,
    handle: comparison.exportDifference,
  }),
  route({
    method: 'get',
    path: PATHS.killSwitch,
    role: 'viewer',
    summary: 'Whether everything is legacy’s, and by whom',
    input: contract.nothingAsked,
    answer: contract.killSwitch,
    handle: view.showKillSwitch,
  }),
  route({
    method: 'put',
    path: PATHS.killSwitch,
    role: 'operator',
    summary: 'Kill: everything to legacy',
    input: contract.reasonAsked,
    answer: contract.done,
    handle: change.kill,
  }),
  route({
    method: 'delete',
    path: PATHS.killSwitch,
    role: 'operator',
    summary: 'Revive: traffic flows as decided',
    input: contract.undoAsked,
    answer: contract.done,
    handle: change.revive,
  }),
  route({
    method: 'get',
    path: PATHS.fleet,
    role: 'viewer',
    summary: 'All gateways, and what each has applied',
    input: contract.nothingAsked,
    answer: contract.fleetView,
    handle: view.showFleet,
  }),
  route({
    method: 'delete',
    path: PATHS.fleetMember,
    role: 'operator',
    summary: 'Forget: a gateway that is gone is not waited for any more',
    input: contract.undoAsked,
    answer: contract.done,
    handle: change.forget,
  }),
  route({
    method: 'get',
    path: PATHS.audit,
    role: 'viewer',
    summary: 'Who did what, when and why, the newest first; all of it as lines for the role admin',
    input: contract.auditAsked,
    answer: contract.auditPage,
    streams: contract.JSON_LINES,
    item: contract.auditRecord,
    handle: showAudit,
  }),
  route({
    method: 'get',
    path: PATHS.auditVerification,
    role: 'viewer',
    summary:
      'Follows the hash chain of the audit log, and names the first entry that was edited, or whose predecessor is missing',
    input: contract.nothingAsked,
    answer: contract.auditVerification,
    handle: verifyAudit,
  }),
  route({
    method: 'get',
    path: PATHS.explain,
    role: 'viewer',
    summary: 'Why a request goes to the side it goes to',
    input: contract.explainAsked,
    answer: contract.explained,
    handle: view.explain,
  }),
  route({
    method: 'get',
    path: PATHS.events,
    role: 'viewer',
    summary: 'Changes as they happen: server-sent events named change, whose data is this',
    input: contract.nothingAsked,
    answer: contract.changeEvent,
    streams: contract.EVENT_STREAM,
    handle: watch,
  }),
  route({
    method: 'get',
    path: PATHS.openapi,
    role: 'viewer',
    summary: 'This document',
    input: contract.nothingAsked,
    answer: z.looseObject({ openapi: z.string() }),
    handle: async () => ({ body: openapi(OPEN_ROUTES, API_ROUTES) }),
  }),
]
