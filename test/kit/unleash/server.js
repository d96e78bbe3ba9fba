// A real Unleash, for tests and for `npm run unleash`. Ends when its parent does, and calls nobody outside.
import './end-with-parent.js'
import { start } from 'unleash-server'

const { folder, port, clientToken, adminToken, password } = JSON.parse(process.argv[2])

// Its libraries take as long to load as the database to start: the parent says when the database is there.
await new Promise((resolve) => process.once('message', resolve))
const { server } = await start({
  // The database has one backend, and `folder` is where its socket is.
  db: {
    host: folder,
    port: 5432,
    user: 'postgres',
    password: 'none',
    database: 'postgres',
    ssl: false,
    pool: { min: 0, max: 1 },
  },
  server: { host: '127.0.0.1', port },
  authentication: {
    initialAdminUser: { username: 'admin', password },
    initApiTokens: [token(adminToken, 'admin', '*'), token(clientToken, 'client', /:([^.]*)/.exec(clientToken)[1])],
  },
  versionCheck: { enable: false },
  telemetry: false,
  logLevel: 'fatal',
})
process.send({ port: server.address().port })

function token(secret, type, environment) {
  return { secret, type, environment, projects: ['*'], tokenName: `test-kit-${type}` }
}
