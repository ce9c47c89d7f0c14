// Bundles the CLI and the node process into one file each: start-up and memory of a node are those of its one file.
import { copyFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const dist = join(root, 'dist');

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  minify: true,
  logLevel: 'warning',
  // rxjs resolves to CommonJS under Node's conditions, which cannot be shaken: every node would load all of it.
  alias: { rxjs: join(root, 'node_modules', 'rxjs', 'dist', 'esm', 'index.js') },
};

rmSync(dist, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: ['orchestrator/cli/main.ts'],
  outfile: 'dist/reroute.js',
  format: 'esm',
  // Packages of CommonJS kind ask for `require`, which an ES module does not have by itself.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
});
// CommonJS, because that is what the code cache of V8 takes.
await build({ ...common, entryPoints: ['nodes/main.ts'], outfile: 'dist/node-bundle.cjs', format: 'cjs' });
copyFileSync(join(root, 'nodes', 'loader.cjs'), join(dist, 'node.cjs'));
