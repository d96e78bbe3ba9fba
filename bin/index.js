import { load } from './load.js'

export const { defineRoutes } = load('index')
