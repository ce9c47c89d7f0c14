// Sets up what a fresh clone lacks: packages, the bundles, nats-server. Quiet and quick when there is nothing to do.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureNatsServer } from './nats-server.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const SOURCES = ['protocols', 'nodes', 'bus', 'orchestrator'];

class SetupError extends Error {}

function say(text) {
  process.stderr.write(`reroute: ${text}\n`);
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

function* sourceFiles(folder) {
  const entries = readdirSync(join(root, folder), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* sourceFiles(path);
    else if (/\.(ts|mjs|cjs|html|css)$/.test(entry.name)) yield path;
  }
}

/** Whether the stamp file holds this hash; the stamp is written only after the work is done. */
function fresh(stamp, hash) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
}

function run(what, command, args, mend) {
  try {
    execFileSync(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const output = `${error.stdout ?? ''}${error.stderr ?? ''}`.trim();
    throw new SetupError(`${what} failed:\n${output || error.message}\n${mend}`);
  }
}

function installPackages() {
  const stamp = join(root, 'node_modules', '.reroute-stamp');
  const hash = hashOf(['package-lock.json']);
  if (fresh(stamp, hash)) return;
  say('installing packages');
  const quiet = ['--no-audit', '--no-fund'];
  try {
    execFileSync('npm', ['ci', ...quiet], { cwd: root, stdio: 'ignore' });
  } catch {
    // A lock written where the registry lacks some platform's optional packages is one that `npm ci` refuses;
    // `npm install` takes the versions from it all the same.
    run(
      'npm install',
      'npm',
      ['install', '--no-save', ...quiet],
      'Is the npm registry reachable? Try: npm install',
    );
  }
  writeFileSync(stamp, hash);
}

function buildBundles() {
  const stamp = join(root, 'dist', '.reroute-stamp');
  const hash = hashOf(['package-lock.json', ...SOURCES.flatMap((folder) => [...sourceFiles(folder)])]);
  if (fresh(stamp, hash)) return;
  say('building');
  run('the build', process.execPath, ['orchestrator/setup/build.mjs'], 'Try: npm run build');
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(stamp, hash);
}

/**
 * Runs a small lab once, from which a node process leaves V8's code cache behind. Without it all works, only slower, so
 * a failure here is no failure of the set-up.
 */
function warmUp() {
  if (process.env.REROUTE_BUS || existsSync(join(root, 'dist', 'node-bundle.cache'))) return;
  const home = mkdtempSync(join(tmpdir(), 'reroute-warm-up-'));
  try {
    execFileSync(process.execPath, ['dist/reroute.js', 'warm-up'], {
      cwd: root,
      stdio: 'ignore',
      timeout: 60_000,
      env: { ...process.env, REROUTE_HOME: home, REROUTE_WRITE_CODE_CACHE: '1' },
    });
  } catch {
    say('nodes will start without a code cache (the warm-up lab did not run)');
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(`Node ${process.versions.node} is too old; reroute needs 20.19 or newer`);
}

/** Does all of it; throws an Error whose message names what failed and the mend. */
export function setUp() {
  checkNode();
  installPackages();
  buildBundles();
  if (!process.env.REROUTE_BUS) ensureNatsServer(root, say);
  warmUp();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    setUp();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
