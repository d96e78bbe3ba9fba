// Text that came from a client, made safe to stand in a log line. No control byte may reach a log raw: it could forge
// a line, or drive the terminal of whoever reads it (CWE-117, CWE-150).

/** Printable ASCII that JSON does not escape: nearly every string there is. */
const PLAIN = /^[ !#-[\]-~]*$/
/**
 * What a terminal or viewer may act upon: control characters (JSON lets DEL and the C1 set through, and 0x9B begins
 * an escape sequence), the invisible ones that reverse or hide text, and the other line separators.
 */
const RISKY = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** The text as a JSON string without a single control byte. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : escapeControls(JSON.stringify(text))
}

/** The text with every risky character spelled out, as JSON would: so JSON stays the same JSON. */
export function escapeControls(text: string): string {
  return text.replace(RISKY, spelledOut)
}

function spelledOut(character: string): string {
  let spelled = ''
  for (let i = 0; i < character.length; i++) spelled += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return spelled
}
