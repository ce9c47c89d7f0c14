import test from 'ava';
import fc from 'fast-check';
import { Classifier } from '../../../../nodes/kernel/openflow/classifier.ts';
import {
  type CompiledMatch,
  compiledCovers,
  compiledOverlap,
  compileMatch,
} from '../../../../nodes/kernel/openflow/compiled-match.ts';
import { Flow } from '../../../../nodes/kernel/openflow/flow.ts';
import { FlowTable } from '../../../../nodes/kernel/openflow/flow-table.ts';
import { parseFlow } from '../../../../protocols/openflow/flow-text.ts';
import {
  FIELDS,
  type FieldName,
  KEY_WORDS,
  type Match,
  matchCovers,
  matchesOverlap,
  normalMatch,
  sameMatch,
} from '../../../../protocols/openflow/oxm.ts';
import { match } from '../../../protocols/openflow/arbitrary.ts';

class Row {
  readonly priority: number;
  readonly match: Match;
  readonly compiled: CompiledMatch;
  order = 0;
  next: Row | null = null;

  constructor(priority: number, match: Match) {
    this.priority = priority;
    this.match = match;
    this.compiled = compileMatch(match);
  }
}

/** A list, searched from its beginning. */
class Naive {
  rows: Row[] = [];

  insert(row: Row): void {
    const at = this.rows.findIndex(
      (other) => other.priority === row.priority && sameMatch(other.match, row.match),
    );
    if (at >= 0) this.rows[at] = row;
    else this.rows.push(row);
  }

  lookup(packet: Match): Row | null {
    let best: Row | null = null;
    for (const row of this.rows)
      if (matchCovers(row.match, packet) && (best === null || row.priority > best.priority)) best = row;
    return best;
  }
}

function keyOf(packet: Match): Uint32Array {
  const key = new Uint32Array(KEY_WORDS);
  const { words, values } = compileMatch(packet);
  for (const [i, word] of words.entries()) key[word] = values[i]!;
  return key;
}

/** Few values and masks, so that matches meet, and wide fields of which one word alone differs. */
const POOL: Partial<
  Record<FieldName, { readonly values: readonly bigint[]; readonly masks: readonly bigint[] }>
> = {
  in_port: { values: [1n, 2n], masks: [] },
  metadata: { values: [0n, (1n << 40n) | 1n], masks: [1n << 40n] },
  ipv4_dst: { values: [0x0a000001n, 0x0a000002n], masks: [0xffffff00n] },
};
const NAMES = Object.keys(POOL) as FieldName[];

const pooled = (field: FieldName, masks: readonly bigint[]) =>
  fc.record({
    field: fc.constant(field),
    value: fc.constantFrom(...(POOL[field]?.values ?? [])),
    mask: masks.length === 0 ? fc.constant(null) : fc.option(fc.constantFrom(...masks)),
  });
const smallMatch = fc
  .subarray(NAMES)
  .chain((names) => fc.tuple(...names.map((name) => pooled(name, POOL[name]?.masks ?? []))))
  .map(normalMatch);
const packet = fc.tuple(...NAMES.map((name) => pooled(name, []))).map(normalMatch);
const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('add' as const), priority: fc.nat(2), match: smallMatch }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('lookup' as const), packet }) },
);

test('a classifier finds what a search from row to row finds, whatever came and went', (t) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 150 }), (operations) => {
      const classifier = new Classifier<Row>();
      const naive = new Naive();
      for (const one of operations) {
        if (one.op === 'add') {
          const row = new Row(one.priority, one.match);
          classifier.insert(row);
          naive.insert(row);
        } else if (one.op === 'remove') {
          const row = naive.rows[one.which % Math.max(1, naive.rows.length)];
          if (row === undefined) continue;
          classifier.remove(row);
          naive.rows = naive.rows.filter((other) => other !== row);
        } else {
          t.is(classifier.lookup(keyOf(one.packet)), naive.lookup(one.packet));
        }
      }
      const rows = new Set(classifier.rules());
      t.is(classifier.size, naive.rows.length);
      t.true(rows.size === naive.rows.length && naive.rows.every((row) => rows.has(row)));
      for (const row of naive.rows) t.is(classifier.find(row.compiled, row.priority), row);
    }),
    { numRuns: 500 },
  );
});

test('thousands of rows are found, and the others when half of them are gone', (t) => {
  const classifier = new Classifier<Row>();
  const rows = Array.from(
    { length: 4_000 },
    (_, i) => new Row(i % 3, [{ field: 'ipv4_dst', value: BigInt(i), mask: null }]),
  );
  for (const row of rows) classifier.insert(row);
  t.true(rows.every((row) => classifier.lookup(keyOf(row.match)) === row));
  for (const [i, row] of rows.entries()) if (i % 2 === 0) classifier.remove(row);
  t.true(rows.every((row, i) => classifier.lookup(keyOf(row.match)) === (i % 2 === 0 ? null : row)));
  t.is(classifier.size, 2_000);
});

test('compiled matches cover and overlap as the matches do', (t) => {
  fc.assert(
    fc.property(fc.oneof(match, smallMatch), fc.oneof(match, smallMatch), (a, b) => {
      // Ports of TCP and UDP have the same place: a match that is whole says the protocol too.
      const [one, other] = [a, b].map((all) => all.filter(({ field }) => !field.startsWith('udp')));
      const [left, right] = [compileMatch(one!), compileMatch(other!)];
      t.is(compiledCovers(left, right), matchCovers(one!, other!));
      t.is(compiledOverlap(left, right), matchesOverlap(one!, other!));
      t.true(compiledCovers(left, left) && compiledOverlap(left, left));
    }),
  );
});

test('a table counts what it is asked and what it finds, and shows the highest priority first', (t) => {
  const table = new FlowTable();
  for (const text of [
    'priority=1,in_port=1',
    'priority=3,in_port=2',
    'priority=3,eth_type=0x800',
    'priority=2',
  ])
    table.add(new Flow(parseFlow(text), 0), 'allowed');
  const key = new Uint32Array(KEY_WORDS);
  key[FIELDS.in_port.word] = 2;
  key[FIELDS.eth_type.word] = 0x800;
  t.deepEqual(
    table.flows().map(({ priority }) => priority),
    [3, 3, 2, 1],
  );
  // Of equals the one that came first.
  t.is(table.lookup(key), table.flows()[0]!);
  t.deepEqual([table.lookups, table.matched], [1, 1]);
});
