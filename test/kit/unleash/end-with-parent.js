// Nothing stays behind, however the process ends that started this one. Imported first: what else is imported takes long.
process.on('disconnect', () => process.exit())
if (!process.connected) process.exit()
// A Ctrl-C reaches every process of a terminal; the parent ends its children itself.
process.on('SIGINT', () => {})
