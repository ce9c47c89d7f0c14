import test from 'ava';
import fc from 'fast-check';
import type { RouteFacts } from '../../../nodes/events/kernel.ts';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { RouteError } from '../../../nodes/kernel/route-error.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';

const DESTINATIONS = ['10.9.0.0/16', '10.9.1.0/24', '2001:db8:9::/48', '2001:db8:9:1::/64'];

const step = fc.record({
  how: fc.constantFrom('add', 'append', 'prepend', 'append', 'replace', 'remove', 'set', 'delete'),
  dst: fc.constantFrom(...DESTINATIONS),
  table: fc.constantFrom(254, 7),
  metric: fc.constantFrom(1, 2),
  dev: fc.constantFrom('d0', 'd1', ''),
  protocol: fc.constantFrom('static' as const, 'bird' as const),
  row: fc.nat(5),
});

test('appended, prepended and replaced rows stand in the order that was asked for, and fold', (t) => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) => {
      const rt = new FakeWorld().runtime();
      const kernel = new Kernel(rt, { timings, ipv6: 'on', transmit: () => {} });
      const { root } = kernel;
      for (const [i, name] of ['d0', 'd1'].entries()) {
        root.addDummy({ name, mac: i + 1, mtu: 1500 });
        root.setUp(name);
      }
      /** Rows of one table, destination and metric, as text. */
      const model = new Map<string, string[]>();
      for (const { how, dst, table, metric, dev, protocol, row } of steps) {
        const facts: RouteFacts = {
          ...{ dst, metric, protocol, scope: 'link', src: '' },
          type: dev === '' ? 'unreachable' : 'unicast',
          nexthops: dev === '' ? [] : [{ via: '', dev, onlink: false, weight: 1 }],
        };
        const text = `${facts.type} ${dev} ${protocol}`;
        const key = `${table} ${dst} ${metric}`;
        const rows = model.get(key) ?? [];
        const inet6 = dst.includes(':');
        const kept = (inet6 ? root.ipv6.tables : root.tables).open(table);
        const own = kept.rowsOf(dst).filter((candidate) => candidate.metric === metric);
        const old = own[row];
        const sameKey = rows.findIndex((other) => !inet6 || other.split(' ')[1] === dev);
        try {
          switch (how) {
            case 'add':
            case 'append':
              kept.add(facts, 'last');
              model.set(key, [...rows, text]);
              break;
            case 'prepend':
              kept.add(facts, 'first');
              model.set(key, [text, ...rows]);
              break;
            case 'replace':
              if (old === undefined) break;
              kept.replace(old, facts);
              model.set(key, rows.with(row, text));
              break;
            case 'set':
              kept.set(facts);
              model.set(key, sameKey < 0 ? [...rows, text] : rows.with(sameKey, text));
              break;
            case 'remove':
              if (old === undefined) break;
              t.true(kept.remove(old));
              model.set(key, rows.toSpliced(row, 1));
              break;
            case 'delete': {
              const at = rows.findIndex((other) => other.split(' ')[1] === dev);
              const gone = dev === '' && (!inet6 || at < 0) ? 0 : at;
              t.is(kept.delete(dst, metric, dev), rows.length > 0 && gone >= 0, `${key} ${dev}`);
              if (gone >= 0 && rows.length > 0) model.set(key, rows.toSpliced(gone, 1));
            }
          }
        } catch (error) {
          if (!(error instanceof RouteError)) throw error;
          t.regex(error.message, /File exists/);
          t.true(rows.includes(text));
        }
        const shown = kept
          .rowsOf(dst)
          .filter((candidate) => candidate.metric === metric)
          .map((other) => `${other.type} ${other.nexthops[0]?.dev ?? ''} ${other.protocol}`);
        t.deepEqual(shown, model.get(key) ?? []);
      }
      const fold = new KernelFold();
      for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
      t.deepEqual(fold.view(), kernel.snapshot());
      root.setDown('d0');
      const after = new KernelFold();
      for (const event of rt.events) after.apply(event as Parameters<KernelFold['apply']>[0]);
      t.deepEqual(after.view(), kernel.snapshot());
    }),
    { numRuns: 100 },
  );
});
