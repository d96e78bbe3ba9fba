// Exports a difference as a script or a test that sends the request of its example again. Pure.
import { escapeControls } from '../../lib/escape.ts'
import { DIFFERENCE_KINDS, splitField } from '../../model/comparison.ts'
import type { ExportForm, ExportResult } from '../../model/comparison-views.ts'
import { isSafe } from '../capture/eligibility.ts'
import { curlOf } from './export-curl.ts'
import { type DifferenceExport, requestOf } from './export-request.ts'
import { vitestOf } from './export-vitest.ts'

export function exportDifference(exporting: DifferenceExport, as: ExportForm): ExportResult {
  const { method } = exporting.example.request
  // The copy was a dry run; a request that is sent by hand is not.
  if (!isSafe(method)) {
    const why = `its request is ${escapeControls(method)}, which would change data on both sides: only GET, HEAD and OPTIONS are exported`
    return { kind: 'impossible', why }
  }
  const request = requestOf(exporting)
  const write = as === 'curl' ? curlOf : vitestOf
  const { fingerprint } = exporting
  const text = write(exporting, request, remarksOn(exporting))
  return { kind: 'exported', exported: { fingerprint, as, text, variables: request.variables } }
}

/** Lines of a comment: control characters of a path are escaped. */
function remarksOn({ fingerprint, context, route, field, example }: DifferenceExport): string[] {
  const { kind, path } = splitField(field)
  const difference = example.differences.find((candidate) => candidate.kind === kind && candidate.path === path)
  const shown = (value: string | null | undefined) => value ?? 'nothing'
  const seen = new Date(example.at).toISOString()
  return [
    `${kind} ${path}: ${DIFFERENCE_KINDS[kind]}.`,
    `${route} of ${context}, difference ${fingerprint}, seen ${seen}.`,
    `Legacy: ${shown(difference?.legacy)}; service: ${shown(difference?.service)}.`,
  ].map(escapeControls)
}
