// Bundles benches as dist is bundled.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Bundles `bench/NAME/main.ts`, and other entries as CommonJS (`target.ts` to `node-bundle.cjs`, started by the same loader as a
 * node), into a folder that goes with the process; runs main with it.
 */
export async function runBench(name, entries) {
  const folder = mkdtempSync(join(tmpdir(), 'reroute-bench-build-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  process.chdir(root);
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // A profile is to name the functions.
    minify: !process.argv.some((argument) => argument.startsWith('--cpu-prof')),
    logLevel: 'warning',
    alias: { rxjs: join(root, 'node_modules', 'rxjs', 'dist', 'esm', 'index.js') },
  };
  const bundle = (entry, outfile, format, rest = {}) =>
    build({
      ...common,
      entryPoints: [`bench/${name}/${entry}`],
      outfile: join(folder, outfile),
      format,
      ...rest,
    });
  copyFileSync(join(root, 'nodes', 'loader.cjs'), join(folder, 'node.cjs'));
  await Promise.all([
    ...Object.entries(entries).map(([entry, outfile]) => bundle(entry, outfile, 'cjs')),
    bundle('main.ts', 'main.mjs', 'esm', {
      banner: {
        js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
      },
    }),
  ]);
  const { main } = await import(pathToFileURL(join(folder, 'main.mjs')));
  process.exitCode = await main(process.argv.slice(2), folder);
}
