/** RFC 9112 section 6.3: these responses have no body, although `Content-Length` may give the length of one. */
export function responseHasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304
}
