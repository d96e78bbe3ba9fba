// What a script returns is known by the script: these only say so to the compiler, and stop what is not so.
import { NotThat } from '../shape.ts'

export function tuple(answer: unknown): readonly unknown[] {
  if (!Array.isArray(answer)) throw new NotThat('an answer of Redis', typeof answer)
  return answer
}

export function array(answer: unknown): readonly string[] {
  return tuple(answer).map(texts)
}

export function texts(answer: unknown): string {
  if (typeof answer !== 'string') throw new NotThat('an answer of Redis', typeof answer)
  return answer
}
