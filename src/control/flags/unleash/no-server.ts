// What unleash-client is told where there is no Unleash.

/** The constructor insists on an address; with our repository and no metrics nothing is ever sent there. */
export const NO_SERVER = {
  appName: 'strangler-gateway',
  url: 'http://unleash.invalid/api/',
  disableMetrics: true,
} as const
