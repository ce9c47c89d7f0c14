import test from 'ava';
import fc from 'fast-check';
import { formatIp4, type Prefix, parsePrefix } from '../../../protocols/ip4.ts';
import { exhaustedMessage, hostLocalRange, nextHostLocal } from '../../../protocols/ipam/host-local.ts';

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === null) throw new Error(text);
  return parsed;
}

test('a /24 gives .2 first: .0 is the network, .1 the gateway', (t) => {
  const range = hostLocalRange(prefix('10.244.1.0/24'));
  t.is(formatIp4(range.start), '10.244.1.1');
  t.is(formatIp4(range.end), '10.244.1.254');
  t.is(formatIp4(nextHostLocal(range, null, () => false)!), '10.244.1.2');
});

test('a freed address is not given out again before the range has been run through', (t) => {
  const range = hostLocalRange(prefix('10.0.0.0/29'));
  const given: string[] = [];
  let last: number | null = null;
  for (let i = 0; i < 7; i++) {
    last = nextHostLocal(range, last, () => false)!;
    given.push(formatIp4(last));
  }
  t.deepEqual(given, ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6', '10.0.0.2', '10.0.0.3']);
});

test('the last reserved address itself is reached last', (t) => {
  const range = hostLocalRange(prefix('10.0.0.0/29'));
  const free = prefix('10.0.0.4/32').addr;
  t.is(
    nextHostLocal(range, free, (addr) => addr !== free),
    free,
  );
});

test('a last reserved address of another subnet is of no account', (t) => {
  const range = hostLocalRange(prefix('10.0.1.0/24'));
  t.is(formatIp4(nextHostLocal(range, prefix('10.0.0.77/32').addr, () => false)!), '10.0.1.2');
});

test('an exhausted range says so in the words of host-local', (t) => {
  const range = hostLocalRange(prefix('10.244.1.0/24'));
  t.is(
    nextHostLocal(range, null, () => true),
    null,
  );
  t.is(exhaustedMessage(range), 'no IP addresses available in range set: 10.244.1.1-10.244.1.254');
});

/** The iterator of host-local, kept as a list of who comes next: the model. */
class NaiveRing {
  readonly order: number[] = [];
  readonly held = new Set<number>();

  constructor(subnet: Prefix) {
    const size = 2 ** (32 - subnet.len);
    for (let i = 2; i < size - 1; i++) this.order.push(subnet.addr + i);
  }

  allocate(): number | null {
    for (let i = 0; i < this.order.length; i++) {
      const addr = this.order[i]!;
      if (this.held.has(addr)) continue;
      this.order.push(...this.order.splice(0, i + 1));
      this.held.add(addr);
      return addr;
    }
    return null;
  }
}

test('any sequence of allocations and releases goes as with a ring', (t) => {
  const step = fc.oneof(fc.constant<'allocate'>('allocate'), fc.nat({ max: 40 }));
  fc.assert(
    fc.property(fc.integer({ min: 26, max: 30 }), fc.array(step, { maxLength: 200 }), (len, steps) => {
      const subnet = prefix(`10.9.8.0/${len}`);
      const range = hostLocalRange(subnet);
      const model = new NaiveRing(subnet);
      const held: number[] = [];
      let last: number | null = null;
      for (const one of steps) {
        if (one === 'allocate') {
          const addr = nextHostLocal(range, last, (candidate) => held.includes(candidate));
          t.is(addr, model.allocate());
          if (addr === null) continue;
          t.false(held.includes(addr));
          held.push(addr);
          last = addr;
        } else if (held.length > 0) {
          const [addr] = held.splice(one % held.length, 1);
          model.held.delete(addr!);
        }
      }
    }),
  );
});
