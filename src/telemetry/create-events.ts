// Each event raises its counters and writes its log line here, and nowhere else.

import { createConfigEvents } from './events/config-events.ts'
import { createFlagEvents } from './events/flag-events.ts'
import { createProcessEvents } from './events/process-events.ts'
import { createRequestEvents } from './events/request-events.ts'
import { createShadowEvents } from './events/shadow-events.ts'
import { MissingFlags, OpenFiles, type Sinks } from './events/sinks.ts'
import { createStateEvents } from './events/state-events.ts'
import type { Events } from './events.ts'

export function createEvents(sinks: Sinks): Events {
  const missingFlags = new MissingFlags(sinks)
  const openFiles = new OpenFiles(sinks)
  return {
    ...createRequestEvents(sinks, missingFlags, openFiles),
    ...createConfigEvents(sinks),
    ...createFlagEvents(sinks, missingFlags),
    ...createStateEvents(sinks),
    ...createShadowEvents(sinks),
    ...createProcessEvents(sinks, openFiles),
  }
}
