// Loaded into every node's process before its program: writes what its memory holds, garbage collected, as lines of JSON.
const { appendFileSync } = require('node:fs');
const { join } = require('node:path');
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');

const { SOAK_FOLDER, SOAK_EVERY, REROUTE_NODE_BOOT } = process.env;
if (REROUTE_NODE_BOOT !== undefined && SOAK_FOLDER !== undefined) {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  const { node } = JSON.parse(REROUTE_NODE_BOOT);
  const file = join(SOAK_FOLDER, `${node}.jsonl`);
  setInterval(() => {
    const { rss } = process.memoryUsage();
    gc();
    const { heapUsed, external } = process.memoryUsage();
    appendFileSync(file, `${JSON.stringify({ at: performance.now(), rss, heap: heapUsed + external })}\n`);
  }, Number(SOAK_EVERY)).unref();
}
