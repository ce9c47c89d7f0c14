import test from 'ava';
import fc from 'fast-check';
import { AdjRibOut } from '../../../protocols/bgp/adj-rib-out.ts';
import { AttributeTable } from '../../../protocols/bgp/attribute-table.ts';
import { NO_ATTRIBUTES, type PathAttributes } from '../../../protocols/bgp/attributes.ts';
import { Destination } from '../../../protocols/bgp/destination.ts';

const table = new AttributeTable();
const sets = [1, 2, 3].map((med) => table.intern({ ...NO_ATTRIBUTES, med }));

/** Content of a RIB without its order. */
function content(rib: Iterable<readonly [Destination, PathAttributes]>): string[] {
  return Array.from(rib, ([{ key }, { med }]) => `${key} ${med}`).sort();
}

type Operation =
  | { readonly type: 'schedule'; readonly destination: number; readonly set: number | null }
  | { readonly type: 'flush'; readonly what: 'withdrawals' | 'announcements'; readonly room: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('schedule' as const),
      destination: fc.nat(4),
      set: fc.option(fc.nat(2)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('flush' as const),
      what: fc.constantFrom('withdrawals' as const, 'announcements' as const),
      room: fc.nat(4),
    }),
  },
);

test('the peer is told what it does not know, all of it and nothing else', (t) => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const destinations = [0, 1, 2, 3, 4].map((i) => new Destination(i * 64 + 24, i));
      const rib = new AdjRibOut(() => destinations);
      const wanted = new Map<Destination, PathAttributes>();
      const told = new Map<Destination, PathAttributes>();
      let cause = 0;
      // Takes at most `room` destinations, as a send buffer that fills up would.
      const flush = (what: 'withdrawals' | 'announcements', room: number) => {
        let left = room;
        if (what === 'withdrawals') {
          rib.takeWithdrawals({
            take: (destination) => {
              if (left-- <= 0) return 'stop';
              t.true(told.delete(destination), 'withdrawn without having been announced');
              return 'taken';
            },
          });
          return;
        }
        let current: PathAttributes | null = null;
        rib.takeAnnouncements({
          begin: (attributes) => {
            current = attributes;
          },
          take: (destination) => {
            if (left-- <= 0) return 'stop';
            t.not(told.get(destination), current!, 'announced twice');
            told.set(destination, current!);
            return 'taken';
          },
          end: () => (left <= 0 ? 'stop' : 'go-on'),
        });
      };
      for (const op of operations) {
        if (op.type === 'flush') {
          flush(op.what, op.room);
        } else {
          const destination = destinations[op.destination]!;
          const attributes = op.set === null ? null : sets[op.set]!;
          rib.schedule(destination, attributes, ++cause);
          if (attributes === null) wanted.delete(destination);
          else wanted.set(destination, attributes);
        }
        t.deepEqual(content(rib.advertised()), content(told));
        for (const each of destinations) t.is(each.holders, told.has(each) || wanted.has(each) ? 1 : 0);
        // What is pending is exactly the difference between what is told and what is wanted.
        const different = destinations.filter((each) => told.get(each) !== wanted.get(each));
        t.is(rib.pending, different.length);
        t.is(rib.pendingWithdrawals, different.filter((each) => !wanted.has(each)).length);
      }
      flush('withdrawals', 99);
      flush('announcements', 99);
      t.is(rib.pending, 0);
      t.deepEqual(content(told), content(wanted));
      rib.clear();
      for (const destination of destinations) t.is(destination.holders, 0);
    }),
  );
});

test('a pending change carries the cause of the change that made it', (t) => {
  const destination = new Destination(24, 0);
  const rib = new AdjRibOut(() => [destination]);
  rib.schedule(destination, sets[0]!, 7);
  rib.schedule(destination, sets[1]!, 8);
  const taken: (readonly [number | null, number])[] = [];
  let med: number | null = null;
  rib.takeAnnouncements({
    begin: (attributes) => {
      med = attributes.med;
    },
    take: (_, cause) => {
      taken.push([med, cause]);
      return 'taken';
    },
    end: () => 'go-on',
  });
  t.deepEqual(taken, [[2, 8]]);
});

test('a route that flaps while it waits leaves nothing behind', (t) => {
  const destination = new Destination(24, 0);
  const rib = new AdjRibOut(() => [destination]);
  for (let i = 0; i < 100_000; i++) rib.schedule(destination, sets[i % 3]!, i);
  rib.schedule(destination, null, 1);
  t.is(rib.pending, 0);
  let entries = 0;
  rib.takeAnnouncements({
    begin: () => {},
    take: () => {
      entries++;
      return 'taken';
    },
    end: () => 'go-on',
  });
  t.is(entries, 0);
});

test('a destination that has taken the place of one that waited is told of, and not the one that is gone', (t) => {
  const gone = new Destination(24, 0);
  const come = new Destination(64 + 24, 0);
  const rib = new AdjRibOut<Destination>(() => [come]);
  rib.schedule(gone, sets[0]!, 1);
  rib.schedule(gone, null, 2);
  t.is(gone.holders, 0);
  rib.schedule(come, sets[0]!, 3);
  const taken: Destination[] = [];
  rib.takeAnnouncements({
    begin: () => {},
    take: (destination) => {
      taken.push(destination);
      return 'taken';
    },
    end: () => 'go-on',
  });
  t.is(taken.length, 1);
  t.is(taken[0], come);
});
