// `npm start`: the shop, its two extracted services and the gateway on this machine, without Docker, until Ctrl-C.
import { PortMistake, type Program, programs } from './start/programs.ts'
import { RunningProgram } from './start/running-program.ts'
import { takenPorts } from './start/taken-ports.ts'
import { Terminal } from './start/terminal.ts'

/** npm forwards a Ctrl-C that the terminal has already sent to this process: two signals within this time count as one. */
const SAME_SIGNAL_MS = 500
const PARENT_MS = 500

const terminal = new Terminal(process.env, process.stdout.isTTY === true)
const running: RunningProgram[] = []
let stopping: Promise<void> | undefined
let signalledAt = 0

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopOnSignal)
stopWithParent()
process.on('exit', killAll) // no program may remain, even after an error

await startAll(wanted())

function wanted(): readonly Program[] {
  try {
    return programs(process.env)
  } catch (error) {
    if (!(error instanceof PortMistake)) throw error
    terminal.complain(error.message)
    process.exit(1)
  }
}

async function startAll(programs: readonly Program[]): Promise<void> {
  const taken = await takenPorts(programs.flatMap((program) => program.listensOn))
  if (taken !== undefined) {
    terminal.complain(taken)
    process.exit(1)
  }
  const [gateway, ...upstreams] = [...programs].reverse()
  try {
    await Promise.all(upstreams.map(startOne))
    if (gateway && !stopping) await startOne(gateway) // last, because its first health checks need the upstreams
    if (!stopping) terminal.showAddresses(programs)
  } catch (error) {
    await giveUp(error instanceof Error ? error.message : String(error))
  }
}

async function startOne(program: Program): Promise<void> {
  const started = new RunningProgram(program, (line) => terminal.line(program, line))
  running.push(started)
  started.ended.then((how) => giveUp(`${program.name} ${how}`))
  await started.ready()
}

/** Stops the other programs after one of them has ended. During a stop, ending is expected. */
async function giveUp(why: string): Promise<void> {
  if (stopping) return
  terminal.complain(`${why}; stopping the rest`)
  stopping = stopAll()
  await stopping
  process.exit(1)
}

async function stopOnSignal(): Promise<void> {
  const again = Date.now() - signalledAt > SAME_SIGNAL_MS
  signalledAt = Date.now()
  if (stopping) {
    if (again) process.exit(1)
    return
  }
  terminal.say('\nStopping the gateway, then its upstreams')
  stopping = stopAll()
  await stopping
  terminal.say('Stopped')
  process.exit(0)
}

/** Stops the gateway first, which needs its upstreams for requests in flight, and the monolith last, which orders calls. */
async function stopAll(): Promise<void> {
  const stopOf = (name: string) =>
    running.filter((program) => program.program.name === name).map((program) => program.stop())
  await Promise.all(stopOf('gateway'))
  await Promise.all([...stopOf('catalog'), ...stopOf('orders')])
  await Promise.all(stopOf('monolith'))
}

/** npm ends after a SIGTERM without forwarding it, so the end of the parent process counts as a signal. */
function stopWithParent(): void {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stopOnSignal()
  }, PARENT_MS).unref()
}

function killAll(): void {
  for (const program of running) program.kill()
}
