import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { MrtFileError } from '../../../orchestrator/mrt/error.ts';
import { readMrtFile, readMrtRoutes } from '../../../orchestrator/mrt/read.ts';
import { writeMrtFile } from '../../../orchestrator/mrt/write.ts';
import { formatKey, parseKey } from '../../../protocols/bgp/nlri.ts';
import { prefixKey } from '../../../protocols/ip4.ts';
import { formatPeer } from '../../../protocols/mrt/peer.ts';
import { readMrt } from '../../../protocols/mrt/reader.ts';
import { encodeRecord } from '../../../protocols/mrt/record.ts';
import type { PeerSelector } from '../../../protocols/mrt/routes.ts';
import { tableDump } from '../../../protocols/mrt/table.ts';
import { route } from '../../protocols/bgp/arbitrary.ts';
import { temporaryFolder } from '../../support/nats.ts';

const FIXTURES = fileURLToPath(new URL('../../protocols/mrt/fixtures', import.meta.url));
const TABLE = readFileSync(join(FIXTURES, 'bird-table4.mrt'));
/** The same, by bzip2 1.0.8. */
const BZIP2 = readFileSync(join(FIXTURES, 'bird-table4.mrt.bz2'));

function save(t: ExecutionContext, name: string, bytes: Uint8Array): string {
  const file = join(temporaryFolder(t), name);
  writeFileSync(file, bytes);
  return file;
}

interface Read {
  readonly routes: readonly string[];
  readonly faults: readonly string[];
}

async function read(file: string, peer: PeerSelector = { type: 'all' }): Promise<Read> {
  const faults: string[] = [];
  const routes: string[] = [];
  for await (const { prefix, peer: from } of readMrtRoutes(file, {
    peer,
    onMalformed: (text) => faults.push(text),
  })) {
    routes.push(`${formatKey(prefix)} ${formatPeer(from)}`);
  }
  return { routes, faults };
}

const ROUTES = [
  '0.0.0.0/0 127.0.0.3 AS65003',
  '10.9.9.9/32 127.0.0.3 AS65003',
  '172.21.0.0/16 127.0.0.2 AS4200000001',
  '10.1.2.0/23 127.0.0.3 AS65003',
  '10.1.0.0/16 127.0.0.3 AS65003',
  '10.1.0.0/16 127.0.0.2 AS4200000001',
  '203.0.113.0/24 127.0.0.3 AS65003',
  '172.20.0.0/16 127.0.0.2 AS4200000001',
];

const PACKED = [
  ['plain', TABLE],
  ['gzip', gzipSync(TABLE)],
  ['gzip in two members', Buffer.concat([gzipSync(TABLE.subarray(0, 100)), gzipSync(TABLE.subarray(100))])],
  ['bzip2', BZIP2],
] as const;

for (const [how, bytes] of PACKED) {
  test(`${how}: whatever its name, a file is read as what it is`, async (t) => {
    for (const name of ['table', 'table.mrt', 'table.gz', 'table.bz2']) {
      t.deepEqual(await read(save(t, name, bytes)), { routes: ROUTES, faults: [] });
    }
  });
}

test('bzip2 in two streams is one file', async (t) => {
  const { routes } = await read(save(t, 'twice.bz2', Buffer.concat([BZIP2, BZIP2])));
  t.deepEqual(routes, [...ROUTES, ...ROUTES]);
});

test('the routes of one peer', async (t) => {
  const file = save(t, 'table', TABLE);
  t.deepEqual((await read(file, { type: 'as', asn: 4200000001 })).routes, [
    '172.21.0.0/16 127.0.0.2 AS4200000001',
    '10.1.0.0/16 127.0.0.2 AS4200000001',
    '172.20.0.0/16 127.0.0.2 AS4200000001',
  ]);
  t.deepEqual((await read(file, { type: 'first' })).routes.length, 5);
});

test('records of a file are those of its bytes', async (t) => {
  const bytes = readFileSync(join(FIXTURES, 'bird-updates.mrt'));
  const records: object[] = [];
  for await (const record of readMrtFile(save(t, 'updates.gz', gzipSync(bytes)))) records.push(record);
  t.deepEqual(records, [...readMrt(new Uint8Array(bytes))]);
});

test('a malformed record is told with file and offset, in the unpacked data, and the rest is read', async (t) => {
  const bad = encodeRecord(0, 13, 2, Uint8Array.of(0, 0, 0, 0, 33));
  const file = save(t, 'bad.gz', gzipSync(Buffer.concat([TABLE, bad, TABLE])));
  const { routes, faults } = await read(file);
  t.is(routes.length, 2 * ROUTES.length);
  t.deepEqual(faults, [`${file}:${TABLE.length}: the prefix is longer than 32 bits`]);
});

test('a plain file that is cut short gives what is there', async (t) => {
  const file = save(t, 'cut', TABLE.subarray(0, TABLE.length - 1));
  const { routes, faults } = await read(file);
  t.deepEqual(routes, ROUTES.slice(0, -1));
  t.is(faults.length, 1);
  t.regex(faults[0] ?? '', /cut:\d+: the file ends within this record$/);
});

async function refusal(t: ExecutionContext, file: string, peer?: PeerSelector): Promise<string> {
  const error = await t.throwsAsync(read(file, peer), { instanceOf: MrtFileError });
  t.true(error?.message.startsWith(`${file}: `));
  return error?.message.slice(file.length + 2) ?? '';
}

const NOT_MRT = [
  ['nothing', '', 'is empty, not an MRT file'],
  ['a text', 'name: lab\ntopology:\n', 'is not an MRT file (RFC 6396)'],
  ['eleven bytes', Buffer.from(TABLE.subarray(0, 11)), 'is not an MRT file (RFC 6396)'],
  ['zeros', new Uint8Array(100), 'is not an MRT file (RFC 6396)'],
  ['a gzipped text', gzipSync('hello, world'), 'is not an MRT file (RFC 6396)'],
  ['gzip of nothing', gzipSync(''), 'is empty, not an MRT file'],
  ['xz', Buffer.from('fd377a585a000004', 'hex'), 'is compressed with xz, which is not read; unpack it first'],
  [
    'zstd',
    Buffer.from('28b52ffd00000000', 'hex'),
    'is compressed with zstd, which is not read; unpack it first',
  ],
] as const;

for (const [what, bytes, reason] of NOT_MRT) {
  test(`refused: ${what}`, async (t) => {
    const file = save(t, 'file', Buffer.from(bytes));
    t.is(await refusal(t, file), reason);
  });
}

test('refused: a file that is not there, and a folder', async (t) => {
  const folder = temporaryFolder(t);
  t.is(await refusal(t, join(folder, 'none.mrt')), 'no such file or folder');
  mkdirSync(join(folder, 'rib'));
  t.is(await refusal(t, join(folder, 'rib')), 'is a folder, not a file');
});

test('refused: compressed data that are cut short or damaged', async (t) => {
  const gzip = gzipSync(TABLE);
  t.regex(await refusal(t, save(t, 'a', gzip.subarray(0, -20))), /^its gzip data are damaged or cut short: /);
  const wrong = Buffer.from(gzip);
  wrong[wrong.length - 6] = (wrong.at(-6) ?? 0) ^ 1;
  t.regex(await refusal(t, save(t, 'b', wrong)), /^its gzip data are damaged or cut short: /);
  for (const end of [5, 40, BZIP2.length - 1]) {
    t.regex(
      await refusal(t, save(t, `c${end}`, BZIP2.subarray(0, end))),
      /^its bzip2 data are damaged or cut/,
    );
  }
  const changed = Buffer.from(BZIP2);
  changed[200] = (changed[200] ?? 0) ^ 1;
  t.regex(await refusal(t, save(t, 'd', changed)), /^its bzip2 data are damaged or cut short: /);
});

test('refused: no routing table in it', async (t) => {
  t.regex(await refusal(t, join(FIXTURES, 'bird-updates.mrt')), /^holds no routing table/);
});

test('refused: a peer that is not in it; those that are get named', async (t) => {
  const peers = ':: AS0, 127.0.0.2 AS4200000001, 127.0.0.3 AS65003';
  const file = save(t, 'table', TABLE);
  t.is(await refusal(t, file, { type: 'as', asn: 1 }), `has no peer AS1; its peers are ${peers}`);
  t.is(
    await refusal(t, file, { type: 'address', address: 0x0a000001 }),
    `has no peer 10.0.0.1; its peers are ${peers}`,
  );
  const legacy = encodeRecord(
    0,
    12,
    1,
    Uint8Array.from([0, 0, 0, 0, 10, 0, 0, 0, 8, 1, 0, 0, 0, 0, 10, 0, 0, 9, 0, 7, 0, 0]),
  );
  t.is(
    await refusal(t, save(t, 'old', legacy), { type: 'as', asn: 1 }),
    'has no peer AS1; its peers are 10.0.0.9 AS7',
  );
});

function* manyRoutes(count: number) {
  for (let i = 0; i < count; i++) {
    const attributes = route(0xc6336401, [65001, 65010 + (i % 7)]);
    const paths = [{ peerIndex: 0, originatedAt: 1000, pathId: null, attributes }];
    yield { prefix: prefixKey(0x0b000000 + 256 * i, 24), paths };
  }
}

function* table(count: number): Generator<Uint8Array> {
  const peers = [{ identifier: 1, address: 0xc0000201, asn: 65001 }];
  yield* tableDump({ timestamp: 0, collector: 1, viewName: '', peers, routes: manyRoutes(count) });
}

for (const name of ['table.mrt', 'table.mrt.gz']) {
  test(`${name}: what is written is read again, over many chunks`, async (t) => {
    const count = 12_000;
    const file = join(temporaryFolder(t), name);
    await writeMrtFile(file, table(count));
    const bytes = readFileSync(file);
    t.is(bytes[0] === 0x1f, name.endsWith('.gz'));
    t.true((name.endsWith('.gz') ? gunzipSync(bytes) : bytes).length > 512 * 1024);
    const { routes, faults } = await read(file);
    t.deepEqual(faults, []);
    t.deepEqual(
      routes,
      [...manyRoutes(count)].map(({ prefix }) => `${formatKey(prefix)} 192.0.2.1 AS65001`),
    );
  });
}

test('a reader that stops early leaves the file alone', async (t) => {
  const file = join(temporaryFolder(t), 'table.gz');
  await writeMrtFile(file, table(12_000));
  for await (const { prefix } of readMrtRoutes(file, { peer: { type: 'all' }, onMalformed: t.fail })) {
    t.is(prefix, parseKey('11.0.0.0/24') ?? -1);
    break;
  }
});

test('refused: to write where it cannot be, or with what cannot be', async (t) => {
  const folder = temporaryFolder(t);
  const away = join(folder, 'away', 'table.mrt');
  await t.throwsAsync(writeMrtFile(away, table(1)), { message: `${away}: no such file or folder` });
  await t.throwsAsync(writeMrtFile(folder, table(1)), { message: `${folder}: is a folder, not a file` });
  await t.throwsAsync(writeMrtFile(join(folder, 'table.bz2'), table(1)), { instanceOf: MrtFileError });
});
