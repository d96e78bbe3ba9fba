// Opens a recording: its format and its entries. A log is streamed; a HAR is one JSON document and is read as a whole.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { detectFormat } from './detect-format.ts'
import { readAccessLine } from './read-access-line.ts'
import { readHar } from './read-har.ts'
import { readLines } from './read-lines.ts'
import { readNginxLine } from './read-nginx-line.ts'
import {
  type ParsedEntry,
  RECORDING_FORMATS,
  type RecordingEntry,
  type RecordingFormat,
  UnusableRecording,
  unreadable,
} from './recording.ts'

export type Recording = {
  readonly file: string
  readonly format: RecordingFormat
  /** The length of the part that is replayed: a log can grow during the replay. */
  readonly bytes: number
  /** SHA-256 of that part, in hexadecimal. A run continues only with the same digest. */
  readonly digest: string
  /** The host of the first request; undefined for a format without hosts. */
  readonly firstHost: string | undefined
  /** @param skip the number of entries to skip */
  readonly entries: (skip: number) => AsyncIterable<RecordingEntry>
}

/** A larger HAR and its parsed form do not fit into memory. */
const MAX_HAR_BYTES = 256 * 1024 * 1024

/**
 * @param format undefined: detected from the content
 * @param savedBytes the length at the start of the run that is continued
 * @throws {UnusableRecording} if the file cannot be read, or is not a recording
 */
export async function openRecording(file: string, format?: RecordingFormat, savedBytes?: number): Promise<Recording> {
  try {
    const size = await sizeOf(file)
    const bytes = Math.min(size, savedBytes ?? size)
    const detectedFormat = format ?? (await detectFileFormat(file))
    const digest = await digestOf(file, bytes)
    return detectedFormat === 'har' ? await openHar(file, bytes, digest) : openLog(file, detectedFormat, bytes, digest)
  } catch (error) {
    if (error instanceof UnusableRecording) throw new UnusableRecording(`${file} cannot be replayed: ${error.message}`)
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    throw new UnusableRecording(`${file} cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}`)
  }
}

async function sizeOf(file: string): Promise<number> {
  const stats = await stat(file)
  if (!stats.isFile()) throw new UnusableRecording('it is not a regular file, which a run must be able to read twice')
  if (stats.size === 0) throw new UnusableRecording('it is empty')
  return stats.size
}

async function detectFileFormat(file: string): Promise<RecordingFormat> {
  const handle = await open(file, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(DETECTION_BYTES), 0, DETECTION_BYTES, 0)
    if (buffer[0] === 0x1f && buffer[1] === 0x8b)
      throw new UnusableRecording('it is compressed; unpack it first: gunzip FILE')
    const format = detectFormat(buffer.toString('utf8', 0, bytesRead))
    if (format !== undefined) return format
    throw new UnusableRecording(
      `its beginning is neither a HAR nor an access log of this gateway or of nginx; set --format ${RECORDING_FORMATS.join('|')}`,
    )
  } finally {
    await handle.close()
  }
}

const DETECTION_BYTES = 256 * 1024

async function digestOf(file: string, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { end: bytes - 1, highWaterMark: CHUNK_BYTES })) hash.update(chunk)
  return hash.digest('hex')
}

const CHUNK_BYTES = 1024 * 1024

async function openHar(file: string, bytes: number, digest: string): Promise<Recording> {
  if (bytes > MAX_HAR_BYTES) {
    throw new UnusableRecording(
      `a HAR is read into memory, and this one is larger than ${MAX_HAR_BYTES / 1024 ** 2} MiB; save fewer pages`,
    )
  }
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(file, { end: bytes - 1, highWaterMark: CHUNK_BYTES })) chunks.push(chunk)
  const reads = readHar(Buffer.concat(chunks).toString('utf8'))
  const first = reads.find((read) => read.kind === 'request')
  return {
    file,
    format: 'har',
    bytes,
    digest,
    firstHost: first?.request.host,
    entries: async function* (skip) {
      for (let i = skip; i < reads.length; i++)
        yield { number: i + 1, share: (i + 1) / reads.length, parsed: reads[i]! }
    },
  }
}

function openLog(file: string, format: 'access-log' | 'nginx', bytes: number, digest: string): Recording {
  const read = format === 'nginx' ? readNginxLine : readAccessLine
  return {
    file,
    format,
    bytes,
    digest,
    firstHost: undefined,
    entries: async function* (skip) {
      const chunks = createReadStream(file, { end: bytes - 1, highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>
      for await (const { number, text, end } of readLines(chunks, skip)) {
        yield { number: number, share: end / bytes, parsed: readLine(text, read) }
      }
    },
  }
}

function readLine(text: string | undefined, read: (line: string) => ParsedEntry): ParsedEntry {
  return text === undefined ? unreadable('is longer than 1 MiB') : read(text)
}
