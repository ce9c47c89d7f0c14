// Starts the node's bundle from V8's code cache, which halves what a process costs before it does anything.
const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');

// Half of the processor time of a lab that starts would go into optimizing the same functions in every process. Ten times V8's
// own budget keeps that for the functions of nodes that are really busy.
v8.setFlagsFromString('--interrupt-budget=1500000');

const filename = path.join(__dirname, 'node-bundle.cjs');
const cacheFile = path.join(__dirname, 'node-bundle.cache');

function readCache() {
  try {
    return fs.readFileSync(cacheFile);
  } catch {
    // Without a cache, or with one of another Node version (which V8 rejects), the bundle is compiled as ever.
    return undefined;
  }
}

const source = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(filename, 'utf8')}\n})`;
const cachedData = readCache();
const script = new vm.Script(source, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
const bundle = { exports: {} };

if (process.env.REROUTE_WRITE_CODE_CACHE === '1') {
  // After a whole life, so that the cache holds every function that a life needs.
  process.once('exit', () => {
    const scratch = `${cacheFile}.${process.pid}`;
    fs.writeFileSync(scratch, script.createCachedData());
    fs.renameSync(scratch, cacheFile);
  });
}

script.runInThisContext()(bundle.exports, require, bundle, filename, __dirname);
