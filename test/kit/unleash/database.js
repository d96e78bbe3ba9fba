// The database of a test's Unleash: PostgreSQL compiled to WebAssembly, in memory, on a socket in the given folder.
// A process of its own, so that an Unleash that is killed finds its flags again. Ends when its parent does.
import './end-with-parent.js'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'

const [folder] = process.argv.slice(2)
const db = await PGlite.create()
// The name is PostgreSQL's own for port 5432. Unleash holds one connection; the others are for the moment in which it
// migrates, and for a successor that comes before the death of its predecessor is noticed.
await new PGLiteSocketServer({ db, path: join(folder, '.s.PGSQL.5432'), maxConnections: 4 }).start()
process.send({ isReady: true })
