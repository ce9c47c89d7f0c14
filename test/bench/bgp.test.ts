import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { z } from 'zod';
import { Received } from '../../bench/bgp/receiver.ts';
import { Cutter, Type, updateMessage } from '../../bench/bgp/wire.ts';
import { makeWorkload } from '../../bench/bgp/workload.ts';
import { temporaryFolder } from '../support/nats.ts';

const Results = z.array(
  z.object({
    daemons: z.array(
      z.object({
        daemon: z.string(),
        outcomes: z.array(
          z.object({
            paths: z.number(),
            prefixesRight: z.number(),
            receivedPrefixes: z.number(),
            latencies: z.array(z.number()),
          }),
        ),
      }),
    ),
  }),
);

test('a thousand prefixes pass through our own target', async (t) => {
  const json = join(temporaryFolder(t), 'results.json');
  const args = ['bench/bgp/run.mjs', '--quick', '--only', 'a100k', '--daemons', 'reroute', '--json', json];
  await promisify(execFile)(process.execPath, args, { timeout: 150_000 });
  const [result] = Results.parse(JSON.parse(readFileSync(json, 'utf8')));
  t.is(result?.daemons.length, 1);
  const [outcome] = result?.daemons[0]?.outcomes ?? [];
  t.is(outcome?.paths, 1000);
  t.is(outcome?.prefixesRight, 1000);
  t.is(outcome?.receivedPrefixes, 1000);
  t.is(outcome?.latencies.length, 50);
});

function feed(received: Received, bytes: Uint8Array): void {
  new Cutter().push(bytes, (type, buffer, at, end) => {
    if (type === Type.update) received.update(buffer, at, end);
  });
}

test('a workload has as many different prefixes as asked for, and each injector sends all of them', (t) => {
  const { feeds, best } = makeWorkload({ injectors: 3, prefixes: 500, seed: 1 });
  t.is(feeds.length, 3);
  t.is(best.size, 500);
  for (const { bytes } of feeds) {
    const received = new Received(best);
    feed(received, bytes);
    t.is(received.prefixes, 500);
    t.is(received.unknown, 0);
  }
});

test('the receiver is done when every prefix has come by its best path, with the AS number of the target before it', (t) => {
  const { feeds, best } = makeWorkload({ injectors: 3, prefixes: 500, seed: 2 });
  // As if the paths had been one shorter before the target put its number there.
  const received = new Received(new Map([...best].map(([key, length]) => [key, length - 1])));
  const attributes = { origin: 0, nextHop: 1, med: null, communities: [] };
  for (const { bytes } of feeds) feed(received, bytes);
  t.true(received.right < 500);
  for (const [key, length] of best) {
    t.is(received.rightAt === Number.POSITIVE_INFINITY, received.right < 500);
    feed(received, updateMessage({ ...attributes, asPath: new Array(length).fill(1) }, [key]));
  }
  t.is(received.right, 500);
  t.not(received.rightAt, Number.POSITIVE_INFINITY);
});

test('a prefix that is withdrawn, or none that was announced, does not count', (t) => {
  const prefix = 0x0a00_0000 * 64 + 24;
  const attributes = { origin: 0, asPath: [1, 2], nextHop: 1, med: null, communities: [] };
  const received = new Received(new Map([[prefix, 1]]));
  feed(received, updateMessage(attributes, [prefix]));
  t.is(received.right, 1);
  // Withdrawn routes of 10.0.0.0/24, no attributes.
  received.update(Uint8Array.of(0, 4, 24, 10, 0, 0, 0, 0), 0, 8);
  t.is(received.right, 0);
  feed(received, updateMessage(attributes, [prefix + 1]));
  t.is(received.unknown, 1);
});
