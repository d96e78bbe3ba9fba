// A store: shared state and comparisons over one connection, or in one folder.
import type { ComparisonStore } from './comparison-store.ts'
import type { StateStore } from './state-store.ts'

export type Store = StateStore & { readonly comparisons: ComparisonStore }
