import test from 'ava';
import fc from 'fast-check';
import type { RuleFacts } from '../../../nodes/events/kernel.ts';
import type { Device } from '../../../nodes/kernel/device.ts';
import { Kernel } from '../../../nodes/kernel/kernel.ts';
import { ANY_FLOW, type FlowKey } from '../../../nodes/kernel/rules.ts';
import { KernelFold } from '../../../nodes/state/kernel-fold.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { FakeWorld, timings } from '../../support/runtime.ts';
import { run } from '../tools/support/run.ts';
import { routed } from '../tools/support/topology.ts';

const ip = (text: string): number => parseIp4(text) ?? 0;

/** Every table from 1 to 4 has a route to 10/8 by a device of its own name, and 3 a default one beside it. */
function host() {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, transmit: () => {} });
  const { root } = kernel;
  for (const n of [1, 2, 3, 4]) {
    root.addDummy({ name: `d${n}`, mac: n, mtu: 1500 });
    root.setUp(`d${n}`);
    const route = (dst: string) =>
      root.tables.open(n).set({
        dst,
        type: 'unicast',
        protocol: 'static',
        scope: 'link',
        metric: 0,
        src: '',
        nexthops: [{ via: '', dev: `d${n}`, onlink: false, weight: 1 }],
      });
    route('10.0.0.0/8');
    if (n === 3) route('0.0.0.0/0');
  }
  return { rt, kernel, root };
}

const prefix = fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '192.168.0.0/16', '10.1.1.1/32');
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const ruleArbitrary: fc.Arbitrary<RuleFacts> = fc
  .record({
    priority: fc.integer({ min: 1, max: 8 }),
    what: fc.oneof(
      {
        weight: 5,
        arbitrary: fc.integer({ min: 1, max: 5 }).map((table) => ({ action: 'lookup' as const, table })),
      },
      fc.constantFrom(
        { action: 'nop' as const },
        { action: 'blackhole' as const },
        { action: 'unreachable' as const },
        { action: 'prohibit' as const },
      ),
      fc.integer({ min: 9, max: 10 }).map((target) => ({ action: 'goto' as const, target })),
    ),
    not: optional(fc.constant(true as const)),
    from: optional(prefix),
    to: optional(prefix),
    iif: optional(fc.constantFrom('lo', 'd1', 'd2')),
    mark: optional(fc.constantFrom(0, 1, 3)),
    mask: optional(fc.constantFrom(1, 3, 0xffff_ffff)),
    tos: optional(fc.constantFrom(0x08, 0x10)),
    ipproto: optional(fc.constantFrom(6, 17)),
    dport: optional(fc.constantFrom([80, 80] as const, [10, 90] as const)),
    suppressPrefixLength: optional(fc.constantFrom(0, 8)),
  })
  .map(({ what, mark, mask, ...rest }) => {
    const marked = mark === undefined ? {} : { mark, mask: mask ?? 0xffff_ffff };
    const entries = Object.entries({ ...rest, ...what, ...marked, protocol: 0 });
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as unknown as RuleFacts;
  });

const address = fc.constantFrom('10.1.1.1', '10.1.2.3', '10.9.9.9', '192.168.3.4', '8.8.8.8');

/** What decides, told as fib_rules.c has it; '-' where there is no route. */
function naive(rules: readonly RuleFacts[], dst: string, src: string, flow: Omit<FlowKey, 'src'>): string {
  const within = (text: string, addr: string) => {
    const [network = '', len = ''] = text.split('/');
    const bits = (value: string) => ip(value).toString(2).padStart(32, '0').slice(0, Number(len));
    return bits(network) === bits(addr);
  };
  const matches = (rule: RuleFacts): boolean => {
    const { mark = 0, mask = 0 } = rule;
    const all =
      (rule.from === undefined || within(rule.from, src)) &&
      (rule.to === undefined || within(rule.to, dst)) &&
      (rule.iif === undefined || rule.iif === (flow.iif?.name ?? 'lo')) &&
      (BigInt(flow.mark) & BigInt(mask)) === (BigInt(mark) & BigInt(mask)) &&
      (rule.tos === undefined || rule.tos === flow.tos) &&
      (rule.ipproto === undefined || rule.ipproto === flow.proto) &&
      (rule.dport === undefined || (flow.dport >= rule.dport[0] && flow.dport <= rule.dport[1]));
    return all !== (rule.not === true);
  };
  let from = 0;
  for (const rule of [...rules].sort((a, b) => a.priority - b.priority)) {
    if (rule.priority < from || !matches(rule)) continue;
    if (rule.action === 'goto') {
      const target = rule.target ?? 0;
      if (rules.some((other) => other.priority === target)) from = target;
    } else if (rule.action === 'unreachable') return '-';
    else if (rule.action !== 'lookup' && rule.action !== 'nop') return rule.action;
    else if (rule.action === 'lookup' && (rule.table ?? 0) < 5) {
      const inTen = within('10.0.0.0/8', dst);
      if (!inTen && rule.table !== 3) continue;
      if ((inTen ? 8 : 0) <= (rule.suppressPrefixLength ?? -1)) continue;
      return `d${rule.table}`;
    }
  }
  return '-';
}

test('rules decide as a naive walk through them does, and the log folds to them', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(ruleArbitrary, { maxLength: 8, selector: (rule) => JSON.stringify(rule) }),
      fc.array(
        fc.record({
          dst: address,
          src: address,
          tos: fc.constantFrom(0, 0x08, 0x10),
          mark: fc.constantFrom(0, 1, 3, 7),
          proto: fc.constantFrom(1, 6, 17),
          dport: fc.constantFrom(0, 80, 53),
          dev: fc.constantFrom('', 'd1', 'd3'),
        }),
        { maxLength: 12 },
      ),
      (rules, packets) => {
        const { rt, kernel, root } = host();
        for (const rule of rules)
          try {
            root.rules.add(rule);
          } catch (error) {
            t.regex(String(error), /File exists/);
          }
        const added = root.rules.list().slice(1, -2);
        for (const { dst, src, dev, ...rest } of packets) {
          const iif: Device | null = root.device(dev) ?? null;
          const flow = { ...ANY_FLOW, ...rest, iif };
          const path = root.lookup(ip(dst), 0, { ...flow, src: ip(src) });
          const got = path === null ? '-' : path.type === 'unicast' ? path.device.name : path.type;
          t.is(got, naive(added, dst, src, flow), JSON.stringify({ added, dst, src, dev, rest }));
        }
        const fold = new KernelFold();
        for (const event of rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
        t.deepEqual(fold.view(), kernel.snapshot());
      },
    ),
    { numRuns: 200 },
  );
});

test('without rules of its own a namespace makes no key, and finds local, main and default', (t) => {
  const { root } = host();
  t.false(root.rules.custom);
  t.is(root.lookup(ip('10.1.1.1'), 0), null);
  run('ip route add 10.0.0.0/8 dev d2 table default', root);
  t.is(root.lookup(ip('10.1.1.1'), 0)?.device.name, 'd2');
  run('ip route add 10.0.0.0/8 dev d4', root);
  t.is(root.lookup(ip('10.1.1.1'), 0)?.device.name, 'd4');
  run('ip route add local 10.1.0.0/16 dev lo', root);
  t.is(root.lookup(ip('10.1.1.1'), 0)?.type, 'local');
  run('ip rule add pref 5 table 1', root);
  t.true(root.rules.custom);
  run('ip rule del pref 5', root);
  t.false(root.rules.custom);
});

test('what is forwarded is routed by its mark, its source and where it came in', (t) => {
  const { net, a, r } = routed();
  const { root } = r.kernel;
  const reaches = () => {
    const ping = run('ping -n -c 1 -W 1 10.0.2.2', a.kernel.root);
    net.advance(2_000);
    return ping.text.split('\n')[1] ?? '';
  };
  t.true(reaches().includes('ttl=63'));
  run('ip rule add from 10.0.1.2 iif eth0 prohibit pref 10', root);
  t.is(reaches(), 'From 10.0.1.1 icmp_seq=1 Packet filtered');
  run('ip rule del pref 10', root);
  run('ip rule add iif eth0 table 7 pref 10', root);
  run('ip route add unreachable default table 7', root);
  t.is(reaches(), 'From 10.0.1.1 icmp_seq=1 Destination Host Unreachable');
  run('ip route replace throw default table 7', root);
  t.true(reaches().includes('ttl=63'));
  run('ip route replace local default dev lo table 7', root);
  // The router takes the packet for itself, and answers as the host that was asked.
  t.regex(reaches(), /from 10\.0\.2\.2: icmp_seq=1 ttl=64/);
  for (const host of net.hosts) {
    const fold = new KernelFold();
    for (const event of host.rt.events) fold.apply(event as Parameters<KernelFold['apply']>[0]);
    t.deepEqual(fold.view(), host.kernel.snapshot());
  }
});
