import test from 'ava';
import fc from 'fast-check';
import type { AttributeFields } from '../../../protocols/bgp/attributes.ts';
import type { PrefixKey } from '../../../protocols/bgp/nlri.ts';
import { encodeMessage, encodeStateChange } from '../../../protocols/mrt/bgp4mp.ts';
import { MrtReader, type MrtRecord, readMrt } from '../../../protocols/mrt/reader.ts';
import { decodeRibAttributes, encodeRibAttributes } from '../../../protocols/mrt/rib-attributes.ts';
import { RouteReader } from '../../../protocols/mrt/routes.ts';
import { type TablePath, tableDump } from '../../../protocols/mrt/table.ts';
import { encodePeerIndexTable, encodeRib } from '../../../protocols/mrt/table-dump-v2.ts';
import { attributeFields, u32 } from '../bgp/arbitrary.ts';
import {
  bgpMessage,
  ip6,
  microseconds,
  peer,
  peerIndexTable,
  prefix,
  rib,
  seconds,
  stateChange,
} from './arbitrary.ts';
import { concat } from './bytes.ts';

interface Sample {
  readonly bytes: Uint8Array;
  /** What reading it gives beside the offset. */
  readonly record: object;
}

const sample: fc.Arbitrary<Sample> = fc.oneof(
  fc.tuple(seconds, peerIndexTable).map(([timestamp, table]) => {
    return { bytes: encodePeerIndexTable(timestamp, table), record: { timestamp, ...table } };
  }),
  fc.tuple(seconds, rib).map(([timestamp, made]) => {
    return { bytes: encodeRib(timestamp, made), record: { timestamp, ...made } };
  }),
  fc.tuple(seconds, stateChange).map(([timestamp, change]) => {
    return { bytes: encodeStateChange(timestamp, 'seconds', change), record: { timestamp, ...change } };
  }),
  fc.tuple(microseconds, stateChange).map(([timestamp, change]) => {
    return { bytes: encodeStateChange(timestamp, 'microseconds', change), record: { timestamp, ...change } };
  }),
  fc.tuple(seconds, bgpMessage).map(([timestamp, message]) => {
    return { bytes: encodeMessage(timestamp, 'seconds', message), record: { timestamp, ...message } };
  }),
  fc.tuple(microseconds, bgpMessage).map(([timestamp, message]) => {
    return { bytes: encodeMessage(timestamp, 'microseconds', message), record: { timestamp, ...message } };
  }),
);

/** The bytes in pieces of these sizes, again and again. */
function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.slice(at, at + size);
    at += size;
  }
}

function readPieces(pieces: Iterable<Uint8Array>): MrtRecord[] {
  const reader = new MrtReader();
  const records: MrtRecord[] = [];
  for (const piece of pieces) records.push(...reader.read(piece));
  return [...records, ...reader.end()];
}

const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 6 });

test('what is written is read again, at its offset, in whatever pieces it comes', (t) => {
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 6 }), sizes, (samples, cuts) => {
      let offset = 0;
      const expected = samples.map(({ bytes, record }) => {
        const placed = { offset, ...record };
        offset += bytes.length;
        return placed;
      });
      const file = concat(...samples.map(({ bytes }) => bytes));
      t.deepEqual([...readMrt(file)] as object[], expected);
      t.deepEqual(readPieces(cut(file, cuts)) as object[], expected);
    }),
  );
  t.pass();
});

test('bytes that were changed, cut or made up are read without throwing, the same in pieces as at once', (t) => {
  const changed = fc
    .tuple(
      fc.array(sample, { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
      fc.nat(),
    )
    .map(([samples, changes, length]) => {
      const file = concat(...samples.map(({ bytes }) => bytes));
      for (const [at, byte] of changes) file[at % file.length] = byte;
      return file.subarray(0, file.length - (length % 20));
    });
  const bytes = fc.oneof(changed, fc.uint8Array({ maxLength: 200 }));
  fc.assert(
    fc.property(bytes, sizes, (file, cuts) => {
      const records = [...readMrt(file)];
      t.deepEqual(readPieces(cut(file, cuts)), records);
      const routes = new RouteReader({ type: 'all' });
      for (const record of records) for (const found of routes.read(record)) t.truthy(found.kind);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('attributes of any bytes are read or refused, never thrown at', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.tuple(attributeFields, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([fields, at, byte]) => {
      const encoded = encodeRibAttributes(fields);
      encoded[at % encoded.length] = byte;
      return encoded;
    }),
  );
  fc.assert(
    fc.property(bytes, fc.constantFrom(2 as const, 4 as const), (attributes, asSize) => {
      const read = decodeRibAttributes(attributes, asSize);
      t.true(typeof read === 'string' ? read.length > 0 : read.nextHop !== null || read.nextHop6 !== null);
    }),
    { numRuns: 500 },
  );
  t.pass();
});

const ip6NextHop = fc.oneof(
  ip6,
  fc.tuple(ip6, ip6).map((both) => both.join('')),
);

/** With a next hop of one family or the other. */
const routeAttributes: fc.Arbitrary<AttributeFields> = fc.oneof(
  attributeFields,
  fc.tuple(attributeFields, ip6NextHop).map(([fields, nextHop6]) => ({ ...fields, nextHop: null, nextHop6 })),
);

test('attributes come out of a dump as they went in, the IPv6 next hop in the short MP_REACH_NLRI', (t) => {
  fc.assert(
    fc.property(routeAttributes, (fields) => {
      t.deepEqual(decodeRibAttributes(encodeRibAttributes(fields), 4), fields);
    }),
  );
  t.pass();
});

test('a table is read again, paths with and without identifiers apart', (t) => {
  const path = fc.record({
    peerIndex: fc.nat(2),
    originatedAt: seconds,
    pathId: fc.option(u32),
    attributes: routeAttributes,
  });
  const routesOf = fc.uniqueArray(
    fc.record({ prefix, paths: fc.array(path, { minLength: 1, maxLength: 3 }) }),
    { maxLength: 4, selector: (route): PrefixKey => route.prefix },
  );
  const peers = fc.array(peer, { minLength: 3, maxLength: 3 });
  fc.assert(
    fc.property(peers, routesOf, seconds, (list, routes, timestamp) => {
      const records = tableDump({ timestamp, collector: 1, viewName: 'main', peers: list, routes });
      const reader = new RouteReader({ type: 'all' });
      const read = [...readMrt(concat(...records))].flatMap((record) => [...reader.read(record)]);
      const order = (paths: readonly TablePath[]) => [
        ...paths.filter(({ pathId }) => pathId === null),
        ...paths.filter(({ pathId }) => pathId !== null),
      ];
      const expected = routes.flatMap((route) =>
        order(route.paths).map(({ peerIndex, pathId, originatedAt, attributes }) => ({
          kind: 'route' as const,
          prefix: route.prefix,
          attributes,
          peer: list[peerIndex],
          pathId: pathId ?? 0,
          originatedAt,
        })),
      );
      t.deepEqual(read as object[], expected);
    }),
  );
  t.pass();
});
