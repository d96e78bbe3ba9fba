/** The key of a route of a context, in maps and messages. Neither name can contain a line end. */
export function routeKey({ context, route }: { readonly context: string; readonly route: string }): string {
  return `${context}\n${route}`
}
