import fc from 'fast-check';
import { NF_FORWARD } from '../../nodes/kernel/netfilter/hooks.ts';
import { setU16, u16 } from '../../protocols/bytes.ts';
import { internetChecksum, pseudoHeaderSum } from '../../protocols/checksum.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { encodeIcmpError, ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, writeEcho } from '../../protocols/icmp.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { fragmentIpv4, ipDst, ipSrc } from '../../protocols/ipv4.ts';
import { BROADCAST_MAC, readMac } from '../../protocols/mac.ts';
import { natTable, to } from '../nodes/kernel/netfilter/lab.ts';
import { run } from '../nodes/tools/support/run.ts';
import { bridgedMac, EmulatedRouter, frameOf, type Out } from '../support/router.ts';
import { startLinuxRouter } from './linux/namespace.ts';
import { linuxTest, runs } from './linux/suite.ts';

/**
 * The same packets into a router of the Linux kernel and into ours, both with `-A FORWARD -m conntrack --ctstate INVALID -j
 * DROP`: the bytes that come out have to be the same, and what conntrack knows afterwards.
 */
const RUNS = runs(25, 20);

const CLIENT_SIDE = 0;
const SERVER_SIDE = 1;
const PACKET_ID = 4711;
const SERVICE = 0x0a60_000a;
const RULES = [
  'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
  'iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 10.0.2.2:8080',
  'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp --dport 53 -j DNAT --to-destination 10.0.2.3:5353',
  'iptables -t nat -A PREROUTING -d 10.96.0.10 -p icmp -j DNAT --to-destination 10.0.2.4',
  'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
  // Linux limits how often it says that there is no route, by buckets that a namespace cannot set.
  'ip route add blackhole 10.96.0.0/16',
  'sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_close=1000',
];

function emulated(): EmulatedRouter {
  const router = new EmulatedRouter();
  const { root } = router;
  natTable(
    root,
    [
      { dst: '10.96.0.10', port: 80, target: to('10.0.2.2', 8080) },
      { dst: '10.96.0.10', port: 53, target: to('10.0.2.3', 5353) },
      { dst: '10.96.0.10', port: -1, target: to('10.0.2.4') },
    ],
    ['10.0.2.2', '10.0.2.3', '10.0.2.4', '10.0.2.5'].map((dst) => ({ dst, target: 'masquerade' as const })),
  );
  root.routes.set({
    dst: '10.96.0.0/16',
    type: 'blackhole',
    protocol: 'static',
    scope: 'global',
    metric: 0,
    src: '',
    nexthops: [],
  });
  root.netfilter.register(NF_FORWARD, 0, ({ ctState }) => (ctState === 'invalid' ? 'drop' : 'accept'));
  root.sysctls.set('netfilter.nf_conntrack_tcp_timeout_close', 1000);
  return router;
}

interface Ends {
  readonly src: number;
  readonly dst: number;
  readonly srcPort: number;
  readonly dstPort: number;
}

/** Who a packet that came out would be answered by, and to whom. */
function answerTo({ frame }: Out): Ends {
  return {
    src: ipDst(frame, ETH_HLEN),
    dst: ipSrc(frame, ETH_HLEN),
    srcPort: u16(frame, ETH_HLEN + 22),
    dstPort: u16(frame, ETH_HLEN + 20),
  };
}

/** Frames as text; what the routers send of themselves may be numbered as each likes. */
function hex(out: readonly Out[]): string[] {
  return out.map(({ port, frame }) => {
    const copy = frame.slice();
    if (u16(copy, ETH_HLEN + 4) !== PACKET_ID) {
      setU16(copy, ETH_HLEN + 4, 0);
      setU16(copy, ETH_HLEN + 10, 0);
    }
    return `${port} ${Buffer.from(copy).toString('hex')}`;
  });
}

/** A line of conntrack, its time apart. */
function parted(line: string): { readonly text: string; readonly left: number } {
  const [, left = '', rest = ''] = /^\S+ +\d+ (\d+) (.*?)(?: use=\d+)?$/.exec(line) ?? [];
  return { text: rest, left: Number(left) };
}

const datagrams = fc.array(
  fc.record({
    kind: fc.constantFrom('udp', 'udp', 'echo', 'error'),
    from: fc.constantFrom<0 | 1>(0, 1),
    type: fc.constantFrom(3, 3, 11, 12, 5, 4),
    code: fc.constantFrom(0, 1, 3, 4),
    quote: fc.constantFrom(8, 20, 500),
    bad: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    plain: fc.boolean(),
  }),
  { minLength: 1, maxLength: 10 },
);

linuxTest('UDP, echoes and ICMP errors about them as Linux has them', async (t) => {
  t.timeout(60_000);
  const linux = await startLinuxRouter(RULES);
  const ours = emulated();
  let number = 30_000;
  try {
    await fc.assert(
      fc.asyncProperty(datagrams, async (packets) => {
        number++;
        /** What has come out at each side last, to be answered or quoted. */
        const last: (Out | undefined)[] = [undefined, undefined];
        for (const { kind, from, type, code, quote, bad, plain } of packets) {
          const seen = last[from];
          let frame: Uint8Array;
          const direct = plain ? 0x0a000205 : SERVICE;
          if (kind === 'error') {
            if (seen === undefined) continue;
            const length = Math.min(seen.frame.length - ETH_HLEN, 20 + quote);
            const message = encodeIcmpError(type, code, 0, seen.frame, ETH_HLEN, length);
            const { src, dst } = answerTo(seen);
            frame = frameOf(plain ? src : 0x0a000001 + (from + 1) * 256 + 7, dst, 1, message, PACKET_ID);
          } else if (kind === 'udp') {
            const ends =
              from === CLIENT_SIDE
                ? { src: 0x0a000103, dst: direct, srcPort: number, dstPort: 53 }
                : seen === undefined || seen.frame[23] !== 17
                  ? { src: 0x0a000203, dst: 0x0a000103, srcPort: 5353, dstPort: number }
                  : answerTo(seen);
            const udp = new Uint8Array(8 + 30).fill(0x62);
            setU16(udp, 0, ends.srcPort);
            setU16(udp, 2, ends.dstPort);
            setU16(udp, 4, udp.length);
            setU16(udp, 6, 0);
            if (!plain)
              setU16(
                udp,
                6,
                internetChecksum(udp, 0, udp.length, pseudoHeaderSum(ends.src, ends.dst, 17, udp.length)),
              );
            frame = frameOf(ends.src, ends.dst, 17, udp, PACKET_ID);
          } else {
            const echo = new Uint8Array(8 + 24).fill(0x63);
            const reply = from === SERVER_SIDE;
            const id =
              seen !== undefined && seen.frame[23] === 1 && reply ? u16(seen.frame, ETH_HLEN + 24) : number;
            writeEcho(echo, 0, reply ? ICMP_ECHO_REPLY : ICMP_ECHO_REQUEST, id, 1, 24);
            const src = reply ? (plain ? 0x0a000205 : 0x0a000204) : 0x0a000104;
            frame = frameOf(src, reply ? 0x0a000201 : direct, 1, echo, PACKET_ID);
          }
          if (bad) frame[frame.length - 1]! ^= 1;
          const said = await linux.send(from, frame);
          t.deepEqual(
            hex(ours.send(from, frame)),
            hex(said),
            `${kind} from ${from}: ${formatIp4(ipSrc(frame, ETH_HLEN))}`,
          );
          for (const out of said) last[out.port] = out;
        }
        const theirs = await linux.run('conntrack -L 2>/dev/null');
        const mine = run('conntrack -L', ours.root).streams.stdout;
        const texts = (listing: string) =>
          listing
            .trim()
            .split('\n')
            .map((line) => parted(line).text)
            .sort();
        t.deepEqual(texts(mine), texts(theirs));
        await linux.run('conntrack -F');
        ours.root.conntrack.flush();
      }),
      RUNS,
    );
  } finally {
    linux.stop();
  }
});

const bridged = fc.array(
  fc.record({
    /** 2 to 4 are at the first port, 5 to 7 at the second. */
    from: fc.integer({ min: 2, max: 7 }),
    to: fc.constantFrom<number | 'service' | 'local' | 'host' | 'all' | 'unknown' | 'answer'>(
      3,
      5,
      6,
      'service',
      'service',
      'local',
      'host',
      'all',
      'unknown',
      'answer',
      'answer',
      'answer',
    ),
    size: fc.constantFrom(20, 20, 1_400, 3_000),
  }),
  { minLength: 1, maxLength: 10 },
);

linuxTest('bridged packets, DNAT of them included, as br_netfilter has them', async (t) => {
  t.timeout(60_000);
  const linux = await startLinuxRouter(
    [
      'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
      'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.1.5',
      'iptables -t nat -A PREROUTING -d 10.96.0.11 -p udp -j DNAT --to-destination 10.0.1.3:99',
    ],
    'bridge',
  );
  let number = 20_000;
  const ours = new EmulatedRouter('bridge');
  natTable(ours.root, [
    { dst: '10.96.0.10', target: to('10.0.1.5') },
    { dst: '10.96.0.11', target: to('10.0.1.3', 99) },
  ]);
  ours.root.netfilter.register(NF_FORWARD, 0, ({ ctState }) => (ctState === 'invalid' ? 'drop' : 'accept'));
  const portOf = (host: number) => (host < 5 ? 0 : 1);
  const datagram = (ends: Ends, size: number, dstMac: number, srcMac: number): Uint8Array[] => {
    const udp = new Uint8Array(8 + size).fill(0x62);
    setU16(udp, 0, ends.srcPort);
    setU16(udp, 2, ends.dstPort);
    setU16(udp, 4, udp.length);
    setU16(udp, 6, 0);
    setU16(udp, 6, internetChecksum(udp, 0, udp.length, pseudoHeaderSum(ends.src, ends.dst, 17, udp.length)));
    const whole = frameOf(ends.src, ends.dst, 17, udp, PACKET_ID);
    if (size > 1_400) {
      setU16(whole, ETH_HLEN + 6, 0);
      setU16(whole, ETH_HLEN + 10, 0);
      setU16(whole, ETH_HLEN + 10, internetChecksum(whole, ETH_HLEN, 20));
    }
    return fragmentIpv4(whole.subarray(ETH_HLEN), 1_500).map((part) => {
      const frame = new Uint8Array(ETH_HLEN + part.length);
      writeEthernet(frame, dstMac, srcMac, ETHERTYPE_IPV4);
      frame.set(part, ETH_HLEN);
      return frame;
    });
  };
  try {
    await fc.assert(
      fc.asyncProperty(bridged, async (packets) => {
        number++;
        let last: Out | undefined;
        for (const { from, to: target, size } of packets) {
          let ends: Ends = { src: 0x0a000100 + from, dst: 0, srcPort: number, dstPort: 53 };
          let at = portOf(from);
          let macs: [number, number] = [bridgedMac(5), bridgedMac(from)];
          if (target === 'answer') {
            const dst = last === undefined ? 0 : readMac(last.frame, 0);
            if (last === undefined || last.frame[23] !== 17 || dst % 2 ** 40 >= 0x01_0000_0000) continue;
            if (u16(last.frame, ETH_HLEN + 6) !== 0x4000) continue;
            ends = answerTo(last);
            at = last.port;
            macs = [readMac(last.frame, 6), dst];
          } else if (typeof target === 'number') {
            // By another port than the service's, where both would want the same: then each draws one of its own.
            ends = { ...ends, dst: 0x0a000100 + target, dstPort: 54 };
            macs = [bridgedMac(target), bridgedMac(from)];
          } else {
            const dst = {
              service: SERVICE,
              local: SERVICE + 1,
              host: 0x0a000101,
              all: 0x0a0001ff,
              unknown: 0x0a000163,
            };
            ends = { ...ends, dst: dst[target] };
            macs[0] =
              target === 'all' ? BROADCAST_MAC : target === 'unknown' ? bridgedMac(0x63) : 0x0200_0000_0001;
          }
          for (const frame of datagram(ends, size, ...macs)) {
            const said = await linux.send(at, frame);
            const order = (out: string[]) => out.sort();
            t.deepEqual(
              order(hex(ours.send(at, frame))),
              order(hex(said)),
              `${from} to ${target}, ${size} bytes`,
            );
            last = said[0] ?? last;
          }
        }
        const texts = (listing: string) =>
          listing
            .trim()
            .split('\n')
            .map((line) => parted(line).text)
            .sort();
        t.deepEqual(
          texts(run('conntrack -L', ours.root).streams.stdout),
          texts(await linux.run('conntrack -L 2>/dev/null')),
        );
        await linux.run('conntrack -F');
        ours.root.conntrack.flush();
      }),
      RUNS,
    );
  } finally {
    linux.stop();
  }
});
