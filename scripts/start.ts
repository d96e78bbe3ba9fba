// `npm start`: the shop, its two extracted services and the gateway on this machine, without Docker, until Ctrl-C.
import { PortMistake, type Program, programs } from './start/programs.ts'
import { RunningProgram } from './start/running-program.ts'
import { takenPorts } from './start/taken-ports.ts'
import { Terminal } from './start/terminal.ts'

/** npm passes a Ctrl-C on that the terminal has sent to us already: twice at once is still one wish. */
const SAME_WISH_MS = 500
const PARENT_MS = 500

const terminal = new Terminal(process.env, process.stdout.isTTY === true)
const running: RunningProgram[] = []
let stopping: Promise<void> | undefined
let wishedAt = 0

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopOnSignal)
stopWithParent()
process.on('exit', killAll) // nothing stays behind, whatever happened here

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
    if (gateway && !stopping) await startOne(gateway) // last: it looks for healthy upstreams at once
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

/** A shop without one of its parts is no shop: the rest is stopped too. While stopping, ending is what is wanted. */
async function giveUp(why: string): Promise<void> {
  if (stopping) return
  terminal.complain(`${why}; stopping the rest`)
  stopping = stopAll()
  await stopping
  process.exit(1)
}

async function stopOnSignal(): Promise<void> {
  const again = Date.now() - wishedAt > SAME_WISH_MS
  wishedAt = Date.now()
  if (stopping) {
    if (again) process.exit(1)
    return
  }
  terminal.say('\nStopping: the gateway first, then what stands behind it')
  stopping = stopAll()
  await stopping
  terminal.say('Stopped')
  process.exit(0)
}

/** The gateway finishes what it has begun while everything behind it still answers; orders asks the monolith. */
async function stopAll(): Promise<void> {
  const stopOf = (name: string) =>
    running.filter((program) => program.program.name === name).map((program) => program.stop())
  await Promise.all(stopOf('gateway'))
  await Promise.all([...stopOf('catalog'), ...stopOf('orders')])
  await Promise.all(stopOf('monolith'))
}

/** npm dies of a SIGTERM without passing it on: whoever started us being gone is the same wish. */
function stopWithParent(): void {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) void stopOnSignal()
  }, PARENT_MS).unref()
}

function killAll(): void {
  for (const program of running) program.kill()
}
