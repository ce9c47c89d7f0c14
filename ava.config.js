export default {
  extensions: { ts: 'module' },
  nodeArguments: ['--import=tsx'],
  files: ['test/**/*.test.ts'],
  workerThreads: false,
  require: ['./test/support/seed.ts'],
  concurrency: 2,
  timeout: '3m',
  // Text is compared as a pipe would get it: some libraries take CI=true for a terminal with colours, and whoever runs the
  // tests may ask for them by FORCE_COLOR, which Node.js heeds before NO_COLOR.
  environmentVariables: { NO_COLOR: '1', FORCE_COLOR: '0' },
};
