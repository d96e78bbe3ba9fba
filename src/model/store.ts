// One connection, or one folder, for all that a fleet keeps together.
import type { ComparisonStore } from './comparison-store.ts'
import type { StateStore } from './state-store.ts'

export type Store = StateStore & { readonly comparisons: ComparisonStore }
