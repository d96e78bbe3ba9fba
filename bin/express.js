import { load } from './load.js'

export const { strangler } = load('express')
