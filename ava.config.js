export default {
  extensions: { ts: 'module' },
  nodeArguments: ['--import=tsx'],
  files: ['test/**/*.test.ts'],
  workerThreads: false,
  require: ['./test/support/seed.ts'],
  concurrency: 2,
  timeout: '3m',
  // Text is compared as a pipe would get it: some libraries take CI=true for a terminal with colours.
  environmentVariables: { NO_COLOR: '1' },
};
