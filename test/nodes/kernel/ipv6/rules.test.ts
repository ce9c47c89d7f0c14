import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { RuleFacts } from '../../../../nodes/events/kernel.ts';
import { ANY_FLOW6 } from '../../../../nodes/kernel/ipv6/rules.ts';
import { Kernel } from '../../../../nodes/kernel/kernel.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { Network } from '../../../support/network.ts';
import { FakeWorld, timings } from '../../../support/runtime.ts';
import { run } from '../../tools/support/run.ts';
import { CLAIMED, foldOf, ip6, pinger, text } from './lab.ts';

function does(ns: Netns, ...lines: readonly string[]): void {
  for (const line of lines) {
    const { code, text: said } = run(line, ns);
    if (code !== 0) throw new Error(`${line}: ${said}`);
  }
}

/** Every table from 1 to 4 has a route to 2001:db8::/32 by a device of its own name, and 3 a default one beside it. */
function host() {
  const rt = new FakeWorld().runtime();
  const kernel = new Kernel(rt, { timings, ipv6: 'on', transmit: () => {} });
  const { root } = kernel;
  for (const n of [1, 2, 3, 4]) {
    root.addDummy({ name: `d${n}`, mac: n, mtu: 1500 });
    root.setUp(`d${n}`);
    does(root, `ip -6 route add 2001:db8::/32 dev d${n} table ${n}`);
  }
  does(root, 'ip -6 route add default dev d3 table 3');
  return { rt, kernel, root };
}

const PREFIXES = ['2001:db8::/32', '2001:db8:1::/48', '2001:db8:1::1/128', 'fd00::/8'];
/** Addresses, and in which of the prefixes they are. */
const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  '::': [],
  '2001:db8:1::1': PREFIXES.slice(0, 3),
  '2001:db8:1::2': PREFIXES.slice(0, 2),
  '2001:db8:9::9': PREFIXES.slice(0, 1),
  'fd00::1': PREFIXES.slice(3),
  '2600::1': [],
};
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const ruleArbitrary: fc.Arbitrary<RuleFacts> = fc
  .record({
    priority: fc.integer({ min: 1, max: 8 }),
    what: fc.oneof(
      fc.integer({ min: 1, max: 5 }).map((table) => ({ action: 'lookup' as const, table })),
      fc
        .constantFrom(...(['nop', 'blackhole', 'unreachable', 'prohibit'] as const))
        .map((action) => ({ action })),
      fc.integer({ min: 9, max: 10 }).map((target) => ({ action: 'goto' as const, target })),
    ),
    not: optional(fc.constant(true as const)),
    from: optional(fc.constantFrom(...PREFIXES)),
    to: optional(fc.constantFrom(...PREFIXES)),
    iif: optional(fc.constantFrom('lo', 'd1', 'd2')),
    mark: optional(fc.constantFrom(0, 1, 3)),
    tos: optional(fc.constantFrom(0x08, 0xb8)),
    dport: optional(fc.constantFrom([80, 80] as const, [10, 90] as const)),
    suppressPrefixLength: optional(fc.constantFrom(0, 32)),
  })
  .map(({ what, mark, ...rest }) => {
    const entries = Object.entries({
      ...rest,
      ...what,
      ...(mark === undefined ? {} : { mark, mask: 3 }),
      protocol: 0,
    });
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as unknown as RuleFacts;
  });

const flowArbitrary = fc.record({
  dst: fc.constantFrom(...Object.keys(ADDRESSES).slice(1)),
  src: fc.constantFrom(...Object.keys(ADDRESSES)),
  iif: fc.constantFrom('lo', 'd1', 'd2'),
  mark: fc.nat(3),
  tos: fc.constantFrom(0, 0x08, 0xb8, 0xb9),
  dport: fc.constantFrom(80, 20, 443),
});
type Flow = typeof flowArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** What decides, told as fib6_rules.c has it; '-' where there is no route. */
function naive(rules: readonly RuleFacts[], flow: Flow): string {
  const matches = (rule: RuleFacts): boolean => {
    const all =
      (rule.from === undefined || ADDRESSES[flow.src]!.includes(rule.from)) &&
      (rule.to === undefined || ADDRESSES[flow.dst]!.includes(rule.to)) &&
      (rule.iif === undefined || rule.iif === flow.iif) &&
      (rule.mark === undefined || rule.mark === flow.mark) &&
      (rule.tos === undefined || rule.tos === flow.tos - (flow.tos % 4)) &&
      (rule.dport === undefined || (flow.dport >= rule.dport[0] && flow.dport <= rule.dport[1]));
    return all !== (rule.not === true);
  };
  let from = 0;
  for (const rule of [...rules].sort((a, b) => a.priority - b.priority)) {
    if (rule.priority < from || !matches(rule)) continue;
    if (rule.action === 'goto') {
      if (rules.some(({ priority }) => priority === rule.target)) from = rule.target ?? 0;
    } else if (rule.action === 'unreachable') return '-';
    else if (rule.action === 'blackhole' || rule.action === 'prohibit') return rule.action;
    else if (rule.action === 'lookup' && (rule.table ?? 0) < 5) {
      const within = ADDRESSES[flow.dst]!.includes('2001:db8::/32');
      if (!within && rule.table !== 3) continue;
      if ((within ? 32 : 0) > (rule.suppressPrefixLength ?? -1)) return `d${rule.table}`;
    }
  }
  return '-';
}

test('rules of IPv6 decide as a naive walk through them does, and the log folds to them', (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(ruleArbitrary, { maxLength: 8, selector: (rule) => JSON.stringify(rule) }),
      fc.array(flowArbitrary, { minLength: 5, maxLength: 10 }),
      fc.nat(7),
      (rules, flows, gone) => {
        const { rt, kernel, root } = host();
        const added = rules.filter((rule) => isTaken(t, () => root.ipv6.rules.add(rule)));
        const left = added.filter((_, i) => i !== gone);
        if (gone < added.length)
          root.ipv6.rules.delete(
            (rule) => JSON.stringify({ ...rule }) === JSON.stringify(canonical(added[gone]!)),
          );
        for (const flow of flows) {
          const iif = flow.iif === 'lo' ? null : (root.device(flow.iif) ?? null);
          const key = { ...ANY_FLOW6, ...flow, src: ip6(flow.src), iif };
          const path = root.ipv6.layer.lookup(ip6(flow.dst), 0, null, key);
          const found = path === null ? '-' : path.type === 'unicast' ? path.device.name : path.type;
          t.is(found, naive(left, flow), JSON.stringify(flow));
        }
        t.deepEqual(foldOf(rt), kernel.snapshot());
      },
    ),
    { numRuns: 200 },
  );
});

/** Not so one that differs from another in what `rule_exists` does not look at: `not`, or a prefix that it lacks. */
function isTaken(t: ExecutionContext, add: () => void): boolean {
  try {
    add();
    return true;
  } catch (error) {
    t.regex(String(error), /File exists/);
    return false;
  }
}

/** With its keys in the order in which the table keeps them. */
function canonical(rule: RuleFacts): RuleFacts {
  const {
    priority,
    action,
    table,
    target,
    not,
    from,
    to,
    iif,
    mark,
    mask,
    tos,
    dport,
    suppressPrefixLength,
  } = rule;
  const marked = mark === undefined ? {} : { mark, mask };
  const all = {
    priority,
    action,
    table,
    target,
    not,
    from,
    to,
    iif,
    ...marked,
    tos,
    dport,
    suppressPrefixLength,
  };
  return JSON.parse(JSON.stringify({ ...all, protocol: 0 })) as RuleFacts;
}

/** a and b on r's left; r's usual way leads by eth1 to x, and y has 2001:db8:9::9 by eth2. */
function uplinks() {
  const net = new Network();
  const [a, b, r] = [net.host('a', 'on'), net.host('b', 'on'), net.host('r', 'on')];
  const [x, y] = [net.host('x', 'on'), net.host('y', 'on')];
  net.attach(a, 'left', 'eth0', '2001:db8:1::2/64');
  net.attach(b, 'left', 'eth0', '2001:db8:1::3/64');
  net.attach(r, 'left', 'eth0', '2001:db8:1::1/64');
  net.attach(r, 'one', 'eth1', '2001:db8:2::1/64');
  net.attach(r, 'two', 'eth2', '2001:db8:3::1/64');
  net.attach(x, 'one', 'eth0', '2001:db8:2::2/64');
  net.attach(y, 'two', 'eth0', '2001:db8:3::2/64');
  for (const host of [a, b]) does(host.kernel.root, 'ip -6 route add default via 2001:db8:1::1');
  does(y.kernel.root, 'ip -6 addr add 2001:db8:9::9/128 dev lo', 'ip -6 route add default via 2001:db8:3::1');
  does(
    r.kernel.root,
    'sysctl -w net.ipv6.conf.all.forwarding=1',
    'ip -6 route add default via 2001:db8:2::2',
    'ip -6 route add default via 2001:db8:3::2 table 7',
  );
  net.advance(CLAIMED);
  return { net, a, b, r };
}

test('a router sends by the table that the source of a packet asks for', (t) => {
  const { net, a, b, r } = uplinks();
  does(r.kernel.root, 'ip -6 rule add from 2001:db8:1::3 iif eth0 table 7');
  const pings = [a, b].map(({ kernel }) => pinger(kernel.root));
  for (const ping of pings) ping.send('2001:db8:9::9');
  net.advance(10);
  t.deepEqual(
    pings.map(({ replies }) => replies.map(({ from }) => text(from))),
    [[], ['2001:db8:9::9']],
  );
  t.deepEqual(foldOf(r.rt), r.kernel.snapshot());
});

test('a rule may refuse what is for the router itself, once it stands before the local table', (t) => {
  const { net, a, r } = uplinks();
  const ping = pinger(a.kernel.root);
  does(
    r.kernel.root,
    'ip -6 rule add pref 1 lookup local',
    'ip -6 rule del pref 0',
    'ip -6 rule add pref 0 to 2001:db8:2::1 prohibit',
  );
  ping.send('2001:db8:2::1');
  net.advance(10);
  t.is(ping.replies.length, 0);
  t.deepEqual(
    ping.errors.map(({ type, code }) => `${type} ${code}`),
    ['dest-unreachable 1'],
  );
  ping.send('2001:db8:3::1');
  net.advance(10);
  t.is(ping.replies.length, 1);
});

test('a local route of another table brings to the host what is marked out for it', (t) => {
  const { net, a, r } = uplinks();
  does(
    r.kernel.root,
    'ip -6 route add local 2001:db8:77::/48 dev lo table 9',
    'ip -6 rule add iif eth0 table 9',
  );
  const ping = pinger(a.kernel.root);
  ping.send('2001:db8:77::1');
  net.advance(10);
  t.deepEqual(
    ping.replies.map(({ from }) => text(from)),
    ['2001:db8:77::1'],
  );
});
