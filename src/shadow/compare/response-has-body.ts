/** RFC 9112 section 6.3: whatever their `Content-Length` says, which is then of the answer that was not sent. */
export function responseHasBody(method: string, status: number): boolean {
  return method !== 'HEAD' && status !== 204 && status !== 304
}
