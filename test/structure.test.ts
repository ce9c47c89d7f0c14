import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { importsOf, scanSource } from './support/source.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['protocols', 'nodes', 'bus', 'orchestrator'];

type Part = 'protocols' | 'machine' | 'shell' | 'bus' | 'orchestrator' | 'test' | 'unknown';

interface Rule {
  readonly parts: readonly Part[];
  /** Packages that may be imported, `node:` modules counted among them. */
  readonly packages: 'any' | readonly string[];
}

/** Which part may import which. The machine is all of nodes/ but the shell that runs it in a process. */
const RULES: Record<Exclude<Part, 'test' | 'unknown'>, Rule> = {
  // What node:crypto is for is ciphers, hashes and keys that are given: all that comes by chance is forbidden below.
  protocols: { parts: ['protocols'], packages: ['node:crypto'] },
  machine: { parts: ['protocols', 'machine'], packages: ['pure-rand'] },
  shell: { parts: ['protocols', 'machine', 'shell', 'bus'], packages: 'any' },
  bus: { parts: ['bus'], packages: 'any' },
  orchestrator: { parts: ['protocols', 'machine', 'shell', 'bus', 'orchestrator'], packages: 'any' },
};

/** Where a machine's outcome may depend on nothing but its inputs. */
const PURE: readonly Part[] = ['protocols', 'machine'];
const IMPURE = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\s*\./,
  /\bMath\.random\b/,
  /\bsetTimeout\b/,
  /\bsetInterval\b/,
  /\bsetImmediate\b/,
  /\bprocess\s*\./,
  /\bqueueMicrotask\b/,
  /\bglobalThis\.crypto\b/,
  /\b(randomBytes|randomFill|randomFillSync|randomInt|randomUUID|getRandomValues)\b/,
  /\b(generateKey|generateKeySync|generateKeyPair|generateKeyPairSync|generatePrime|generatePrimeSync)\b/,
  /\b(createDiffieHellman|createECDH|getDiffieHellman|webcrypto)\b/,
];

function partOf(path: string): Part {
  const [top, second] = path.split('/');
  if (top === 'nodes') return second === 'shell' || path === 'nodes/main.ts' ? 'shell' : 'machine';
  if (top === 'protocols' || top === 'bus' || top === 'orchestrator' || top === 'test') return top;
  return 'unknown';
}

function packageOf(specifier: string): string {
  const [scope, name] = specifier.split('/');
  return specifier.startsWith('@') ? `${scope}/${name}` : (scope ?? '');
}

/** What a source breaks of the rules, by its path in the repository. */
function violations(path: string, source: string): string[] {
  const part = partOf(path);
  if (part === 'test' || part === 'unknown') return [`${path}: not in a part that has rules`];
  const rule = RULES[part];
  const scanned = scanSource(source);
  const found: string[] = [];
  for (const specifier of importsOf(scanned)) {
    if (specifier === null) {
      if (PURE.includes(part)) found.push(`${path}: imports what it computes`);
    } else if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(path), specifier);
      if (!rule.parts.includes(partOf(target))) found.push(`${path}: imports ${target}`);
    } else if (rule.packages !== 'any' && !rule.packages.includes(packageOf(specifier))) {
      found.push(`${path}: imports ${specifier}`);
    }
  }
  if (PURE.includes(part)) {
    for (const pattern of IMPURE) {
      const match = pattern.exec(scanned.code);
      if (match !== null) found.push(`${path}: mentions ${match[0]}`);
    }
  }
  return found;
}

function sources(): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => posix.join(folder, relative('.', name)))
      .filter((path) => /\.m?[tj]s$/.test(path)),
  );
}

test('every import follows the arrows, and the machine is pure', (t) => {
  const paths = sources();
  for (const folder of FOLDERS)
    t.true(
      paths.some((path) => path.startsWith(`${folder}/`)),
      folder,
    );
  t.deepEqual(
    paths.flatMap((path) => violations(path, readFileSync(join(ROOT, path), 'utf8'))),
    [],
  );
});

test('the scan of the sources finds their imports', (t) => {
  const source = readFileSync(join(ROOT, 'nodes/kernel/kernel.ts'), 'utf8');
  const relatives = importsOf(scanSource(source)).filter((specifier) => specifier?.startsWith('.'));
  t.is(relatives.length, source.match(/^(import|export|\}) .*from '\.|^\} from '\./gm)?.length ?? 0);
});

const forbidden: readonly (readonly [path: string, source: string])[] = [
  ['protocols/a.ts', "import type { X } from '../nodes/config.ts';"],
  ['protocols/a.ts', "import { readFileSync } from 'node:fs';"],
  ['protocols/bgp/a.ts', "export { z } from 'zod';"],
  ['protocols/a.ts', "import '../bus/log.ts';"],
  ['nodes/kernel/a.ts', "import { connect } from '../../bus/connection.ts';"],
  ['nodes/kernel/a.ts', "import { NodeShell } from '../shell/node-shell.ts';"],
  ['nodes/daemons/a.ts', "import '../main.ts';"],
  ['nodes/machine.ts', "import { Subject } from 'rxjs';"],
  ['nodes/state/a.ts', "import {\n  a,\n  b,\n} from '../../orchestrator/home.ts';"],
  ['nodes/tools/a.ts', "const fs = await import('node:fs');"],
  ['nodes/tools/a.ts', 'const fs = await import(name);'],
  ['nodes/shell/a.ts', "import { run } from '../../orchestrator/cli/main.ts';"],
  ['bus/a.ts', "import type { LabEvent } from '../nodes/events/index.ts';"],
  ['bus/a.ts', "import { u16 } from '../protocols/bytes.ts';"],
  ['orchestrator/a.ts', "import { timings } from '../test/support/runtime.ts';"],
  ['orchestrator/lab/a.ts', "import { b } from '../../bench/b.ts';"],
  ['nodes/kernel/a.ts', 'const now = Date.now();'],
  ['nodes/kernel/a.ts', 'const now = new Date().getTime();'],
  ['nodes/kernel/a.ts', 'const now = performance.now();'],
  ['nodes/daemons/a.ts', 'const dice = Math.random();'],
  ['nodes/a.ts', 'setTimeout(fire, 10);'],
  ['nodes/a.ts', 'setInterval(fire, 10);'],
  ['nodes/a.ts', 'setImmediate(fire);'],
  ['nodes/a.ts', 'if (process.env.DEBUG) log();'],
  ['protocols/a.ts', 'queueMicrotask(fire);'],
  ['protocols/a.ts', 'globalThis.crypto.subtle;'],
  ['protocols/a.ts', 'const id = crypto.randomUUID();'],
  ['protocols/a.ts', "import { randomBytes } from 'node:crypto';"],
  ['protocols/a.ts', "import { generateKeyPairSync } from 'node:crypto';"],
  ['nodes/kernel/a.ts', "import { createCipheriv } from 'node:crypto';"],
  ['protocols/a.ts', `const text = \`it's \${ \`\${Date.now()}\` } o'clock\`;`],
  ['protocols/a.ts', 'const quote = /[\'"`]/; const now = Date.now();'],
  ['protocols/a.ts', "const half = (a + b) / 2; const c = '/'; Date.now();"],
];

for (const [path, source] of forbidden) {
  test(`forbidden in ${path}: ${source.replaceAll('\n', ' ')}`, (t) => {
    t.is(violations(path, source).length, 1);
  });
}

const allowed: readonly (readonly [path: string, source: string])[] = [
  ['protocols/bgp/a.ts', "import { u16 } from '../bytes.ts';"],
  ['protocols/a.ts', "import { createCipheriv, createHmac } from 'node:crypto';"],
  ['nodes/random.ts', "import { uniformInt } from 'pure-rand/distribution/uniformInt';"],
  [
    'nodes/kernel/a.ts',
    "import { Heap } from '../../protocols/heap.ts'; import type { C } from '../config.ts';",
  ],
  ['nodes/shell/a.ts', "import { a } from '../../bus/log.ts'; import { b } from 'rxjs'; Date.now();"],
  ['bus/a.ts', "import { connect } from 'nats'; import { join } from 'node:path'; process.env.X;"],
  ['orchestrator/a.ts', "import { NodeShell } from '../nodes/shell/node-shell.ts';"],
  ['protocols/a.ts', "// Date.now() and import 'zod'\nconst text = 'Date.now()'; /* import 'rxjs' */"],
  ['protocols/a.ts', "const text = `Math.random() from 'zod'`;"],
  ['protocols/a.ts', "const text = 'it\\'s Date.now()';"],
  ['nodes/daemons/a.ts', 'const day = new Date(at).toISOString();'],
  ['nodes/tools/a.ts', 'const processed = this.process; queue.setTimeouts();'],
];

for (const [path, source] of allowed) {
  test(`allowed in ${path}: ${source.replaceAll('\n', ' ')}`, (t) => {
    t.deepEqual(violations(path, source), []);
  });
}
