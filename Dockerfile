# The gateway. Node runs the TypeScript as it is: there is no build step, and nothing here that a checkout has not.
FROM node:26.10.0-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY bin bin
COPY src src
COPY scripts/create-flags.ts scripts/
COPY routes.config.ts flags.json LICENSE NOTICE ./
# `docker exec gateway strangler status` runs the command with the settings of the container.
RUN ln -s /app/bin/strangler.js /usr/local/bin/strangler
ENV STRANGLER_CONFIG=/app/routes.config.ts STRANGLER_STATE_DIR=/app/.strangler \
    STRANGLER_HOST=0.0.0.0 STRANGLER_ADMIN_HOST=0.0.0.0
# A look-up of a name that the network does not know yet takes seconds, and occupies a thread. With Node's default of four
# threads the look-ups of three missing services delay the one of Redis for minutes.
ENV UV_THREADPOOL_SIZE=16
# The only folder the gateway writes to: a volume mounted here is given the same owner.
RUN install -d -o node -g node .strangler
USER node
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
# Rollbacks, pins and the kill switch of a gateway without Redis are in here: mount a volume that outlives the container.
VOLUME /app/.strangler
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.STRANGLER_ADMIN_PORT || 8081}/readyz`).then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--disable-sigusr1", "bin/strangler.js", "serve"]
