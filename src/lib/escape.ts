// Escapes text of clients for log lines. A raw control byte in a log could forge a line, or control the terminal of the reader
// (CWE-117, CWE-150).

/** Printable ASCII that JSON does not escape: the fast path for nearly every string. */
const PLAIN = /^[ !#-[\]-~]*$/
/**
 * Characters to which a terminal or viewer may react: control characters (JSON does not escape DEL and the C1 set, and 0x9B begins
 * an escape sequence), invisible characters that reverse or hide text, and the other line separators.
 */
const RISKY = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** Returns the text as a JSON string without control bytes. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : escapeControls(JSON.stringify(text))
}

/** Escapes every risky character as JSON does, so that JSON text keeps its meaning. */
export function escapeControls(text: string): string {
  return text.replace(RISKY, spelledOut)
}

function spelledOut(character: string): string {
  let spelled = ''
  for (let i = 0; i < character.length; i++) spelled += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return spelled
}
