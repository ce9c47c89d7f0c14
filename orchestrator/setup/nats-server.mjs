// Finds nats-server, or fetches a private copy of it. Plain JavaScript: set-up runs it before anything is built.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin'];

/** The project's own copy, under the cache folder of the project. */
function privateCopy(root) {
  return join(root, '.cache', 'nats-server', 'usr', 'sbin', 'nats-server');
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a nats-server on PATH, in the system's folders or in the project's cache; null if there is none. */
export function findNatsServer(root) {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...SYSTEM_FOLDERS];
  const found = folders.map((folder) => join(folder, 'nats-server')).find(isExecutable);
  if (found !== undefined) return found;
  return isExecutable(privateCopy(root)) ? privateCopy(root) : null;
}

/**
 * Finds nats-server; on Debian and its kin takes the package's file into the project's cache if need be, without
 * installing anything. Throws an Error that names the one command to run where that cannot be done.
 */
export function ensureNatsServer(root, say = () => {}) {
  const found = findNatsServer(root);
  if (found !== null) return found;
  if (!isDebian()) {
    throw new Error(
      'nats-server was not found. Install it (macOS: brew install nats-server; Fedora, Arch, others: go install github.com/nats-io/nats-server/v2@latest), or name a running one with REROUTE_BUS=nats://host:port',
    );
  }
  say('fetching nats-server from the Debian package (a private copy, nothing is installed)');
  try {
    download(root);
  } catch (error) {
    const detail = String(error.stderr ?? error.message ?? error)
      .trim()
      .split('\n')
      .at(-1);
    throw new Error(`could not fetch nats-server (${detail}). Run: sudo apt-get install nats-server`);
  }
  return privateCopy(root);
}

function isDebian() {
  try {
    return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'));
  } catch {
    return false;
  }
}

/** `apt-get download` with state and cache folders of our own, so that it works as any user and changes no system file. */
function download(root) {
  const apt = join(root, '.cache', 'apt');
  const target = join(root, '.cache', 'nats-server');
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'download']) {
    mkdirSync(join(apt, folder), { recursive: true });
  }
  const options = [
    '-q',
    '-o',
    `Dir::State=${join(apt, 'state')}`,
    '-o',
    `Dir::State::lists=${join(apt, 'state', 'lists')}`,
    '-o',
    'Dir::State::status=/var/lib/dpkg/status',
    '-o',
    `Dir::Cache=${join(apt, 'cache')}`,
    '-o',
    'APT::Sandbox::User=',
    '-o',
    'Debug::NoLocking=true',
  ];
  const folder = join(apt, 'download');
  const run = (command, args) =>
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  run('apt-get', [...options, 'update']);
  run('apt-get', [...options, 'download', 'nats-server']);
  const file = readdirSync(folder).find((name) => name.endsWith('.deb'));
  if (file === undefined) throw new Error('apt-get downloaded no package');
  run('dpkg-deb', ['-x', join(folder, file), target]);
  rmSync(apt, { recursive: true, force: true });
  if (!existsSync(privateCopy(root))) throw new Error('the package holds no nats-server');
}
