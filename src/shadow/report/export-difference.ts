// A difference as something to run: the request that showed it, to be asked again by hand or by a test. Pure.
import { escapeControls } from '../../lib/escape.ts'
import { DIFFERENCE_KINDS, splitField } from '../../model/comparison.ts'
import type { ExportForm, ExportResult } from '../../model/comparison-views.ts'
import { isSafe } from '../capture/eligibility.ts'
import { curlOf } from './export-curl.ts'
import { type DifferenceExport, requestOf } from './export-request.ts'
import { vitestOf } from './export-vitest.ts'

export function exportDifference(exporting: DifferenceExport, as: ExportForm): ExportResult {
  const { method } = exporting.example.request
  // The copy was only acted upon as if. Whatever is sent by hand is done.
  if (!isSafe(method)) {
    const why = `it was seen with ${escapeControls(method)}, and whoever runs what is exported would change something on both sides: only GET, HEAD and OPTIONS are exported`
    return { kind: 'impossible', why }
  }
  const request = requestOf(exporting)
  const write = as === 'curl' ? curlOf : vitestOf
  const { fingerprint } = exporting
  const text = write(exporting, request, remarksOn(exporting))
  return { kind: 'exported', exported: { fingerprint, as, text, variables: request.variables } }
}

/** For comments, so each is one line whatever stands in a path. */
function remarksOn({ fingerprint, context, route, field, example }: DifferenceExport): string[] {
  const { kind, path } = splitField(field)
  const here = example.differences.find((one) => one.kind === kind && one.path === path)
  const shown = (value: string | null | undefined) => value ?? 'nothing'
  const seen = new Date(example.at).toISOString()
  return [
    `${kind} ${path}: ${DIFFERENCE_KINDS[kind]}.`,
    `${route} of ${context}, difference ${fingerprint}, seen ${seen}.`,
    `Legacy said ${shown(here?.legacy)}; the service said ${shown(here?.service)}.`,
  ].map(escapeControls)
}
