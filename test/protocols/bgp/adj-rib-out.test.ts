import test from 'ava';
import fc from 'fast-check';
import { AdjRibOut } from '../../../protocols/bgp/adj-rib-out.ts';
import { AttributeTable, NO_ATTRIBUTES, type PathAttributes } from '../../../protocols/bgp/attributes.ts';
import { Destination } from '../../../protocols/bgp/loc-rib.ts';

const table = new AttributeTable();
const sets = [1, 2, 3].map((med) => table.intern({ ...NO_ATTRIBUTES, med }));

/** Content of a RIB without its order. */
function content(rib: Iterable<readonly [Destination, PathAttributes]>): string[] {
  return Array.from(rib, ([{ key }, { med }]) => `${key} ${med}`).sort();
}

type Operation =
  | { readonly type: 'schedule'; readonly destination: number; readonly set: number | null }
  | { readonly type: 'flush-withdrawals' }
  | { readonly type: 'flush-one-bucket' };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('schedule' as const),
      destination: fc.nat(4),
      set: fc.option(fc.nat(2)),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Operation>({ type: 'flush-withdrawals' }) },
  { weight: 1, arbitrary: fc.constant<Operation>({ type: 'flush-one-bucket' }) },
);

test('the peer is told what it does not know, all of it and nothing else', (t) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const destinations = [0, 1, 2, 3, 4].map((i) => new Destination(i * 64 + 24));
      const rib = new AdjRibOut();
      const wanted = new Map<Destination, PathAttributes>();
      const told = new Map<Destination, PathAttributes>();
      let cause = 0;
      const flush = (what: 'withdrawals' | 'bucket') => {
        if (what === 'withdrawals') {
          for (const [destination] of [...rib.withdrawals()]) {
            t.true(told.delete(destination), 'withdrawn without having been announced');
            rib.withdrawn(destination);
          }
          return;
        }
        for (const [attributes, bucket] of [...rib.buckets()].slice(0, 1)) {
          for (const [destination] of [...bucket]) {
            t.not(told.get(destination), attributes, 'announced twice');
            told.set(destination, attributes);
            rib.announced(destination, attributes);
          }
        }
      };
      for (const op of operations) {
        if (op.type === 'flush-withdrawals') flush('withdrawals');
        else if (op.type === 'flush-one-bucket') flush('bucket');
        else {
          const destination = destinations[op.destination]!;
          const attributes = op.set === null ? null : sets[op.set]!;
          rib.schedule(destination, attributes, ++cause);
          if (attributes === null) wanted.delete(destination);
          else wanted.set(destination, attributes);
        }
        t.deepEqual(content(rib.advertised()), content(told));
        for (const destination of destinations) t.is(destination.holders, told.has(destination) ? 1 : 0);
        // What is pending is exactly the difference between what is told and what is wanted.
        const different = destinations.filter((each) => told.get(each) !== wanted.get(each));
        t.is(rib.pending, different.length);
      }
      flush('withdrawals');
      while (rib.pending > 0) flush('bucket');
      t.deepEqual(content(told), content(wanted));
      rib.clear();
      for (const destination of destinations) t.is(destination.holders, 0);
    }),
  );
});

test('a pending change carries the cause of the change that made it', (t) => {
  const rib = new AdjRibOut();
  const destination = new Destination(24);
  rib.schedule(destination, sets[0]!, 7);
  rib.schedule(destination, sets[1]!, 8);
  const [[attributes, bucket]] = [...rib.buckets()] as [[PathAttributes, Iterable<readonly [Destination, number]>]];
  t.is(attributes, sets[1]);
  t.deepEqual([...bucket], [[destination, 8]]);
});
