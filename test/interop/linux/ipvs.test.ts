import fc from 'fast-check';
import { u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4 } from '../../../protocols/ethernet.ts';
import { encodeIcmpError } from '../../../protocols/icmp.ts';
import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import { ipDst, ipFragmentOffset, ipProto, ipSrc, PROTO_TCP, PROTO_UDP } from '../../../protocols/ipv4.ts';
import { frameOf, type Out } from '../../support/router.ts';
import { type Drawn, framesOf } from './packets.ts';
import { PACKET_ID } from './settle.ts';
import { guestTestWith, runs } from './suite.ts';
import { Twin } from './twin.ts';

const guestTest = guestTestWith('ipvsadm');
const ip = (text: string): number => parseIp4(text) ?? 0;
const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((list) => list.filter((text) => text !== '').join(' '));

const CLIENT_SIDE = 0;
const SERVER_SIDE = 1;
const VIPS = ['10.96.0.10', '10.96.0.11'];

/** Clients are 10.0.1.2 to 5 and those of 10.9.0.0/16, servers 10.0.2.2 to 5. */
const SET_UP = [
  ...['v0', 'w0'].flatMap((dev, i) => [
    `ip addr add 10.0.${i + 1}.1/24 dev ${dev}`,
    ...[2, 3, 4, 5].map(
      (n) => `ip neigh add 10.0.${i + 1}.${n} lladdr 02:00:00:00:00:02 dev ${dev} nud permanent`,
    ),
  ]),
  'ip route add 10.9.0.0/16 via 10.0.1.2',
  'ip link add kube-ipvs0 type dummy',
  ...VIPS.map((vip) => `ip addr add ${vip}/32 dev kube-ipvs0`),
  'iptables -t mangle -A PREROUTING -d 10.96.0.11 -p udp -j MARK --set-mark 7',
];
/** There are no settings before the module is there. */
const FIRST = ['modprobe ip_vs'];

const VIRTUAL = [
  ...['-t 10.96.0.10:80', '-t 10.96.0.10:80', '-t 10.96.0.10:443', '-u 10.96.0.10:53', '-u 10.96.0.10:53'],
  ...['-t 10.96.0.11:80', '-t 10.96.0.11:0', '-u 10.96.0.11:0', '-f 7'],
];
const virtual = one(...VIRTUAL);
const server = one(
  '-r 10.0.2.2',
  '-r 10.0.2.3',
  '-r 10.0.2.4',
  '-r 10.0.2.2:8080',
  '-r 10.0.2.3:8080',
  '-r 10.0.2.5:80',
);
const forward = one('-m', '-m', '-m', '-m', '', '-g', '-i');
const weight = one('', '', '-w 1', '-w 2', '-w 3', '-w 5', '-w 0');
const limits = one('', '', '', '', '-x 2', '-x 3 -y 1', '-y 2');
const scheduler = one(
  ...[
    '-s rr',
    '-s rr',
    '-s wrr',
    '-s wrr',
    '-s lc',
    '-s wlc',
    '-s sh',
    '-s sh',
    '-s dh',
    '-s sed',
    '-s nq',
    '',
  ],
  ...[
    '-s sh -b sh-port',
    '-s sh -b sh-fallback',
    '-s sh -b sh-port,sh-fallback',
    '-s rr -b sh-port',
    '-s none',
    '-s fifo',
  ],
);
const persistent = one('', '', '', '', '-p', '-p 600', '-p 600 -M 255.255.255.0', '-M 255.255.0.0', '-p 0');
const once = one('', '', '', '', '', '-o');

const addService = join(one('ipvsadm -A'), virtual, scheduler, persistent, once);
const addServer = join(one('ipvsadm -a'), virtual, server, forward, weight, limits);
const change = fc.oneof(
  { weight: 4, arbitrary: join(one('ipvsadm -e'), virtual, server, forward, weight, limits) },
  { weight: 4, arbitrary: join(one('ipvsadm -d'), virtual, server) },
  { weight: 3, arbitrary: addServer },
  { weight: 2, arbitrary: join(one('ipvsadm -E'), virtual, scheduler, persistent, once) },
  { weight: 1, arbitrary: join(one('ipvsadm -D'), virtual) },
  { weight: 1, arbitrary: one('ipvsadm -C', 'ipvsadm --set 1000 200 400', 'ipvsadm --set 0 0 500') },
);
const setting = one(
  ...['conntrack=1', 'conntrack=1', 'expire_nodest_conn=1', 'expire_quiescent_template=1'],
  ...['conn_reuse_mode=0', 'conn_reuse_mode=2', 'sloppy_tcp=1'],
).map((words) => `sysctl -w net.ipv4.vs.${words}`);
const rule = one(
  'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
  'iptables -t nat -A POSTROUTING -m ipvs --ipvs --vdir ORIGINAL -j MASQUERADE',
  'iptables -A INPUT -m ipvs --vport 80 -j ACCEPT',
  'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
);

/** Of flags of `packets.ts`: SYN, SYN ACK, ACK, PSH ACK, FIN ACK, RST, none. */
const FLAGS = [0, 0, 0, 0, 0, 4, 4, 5, 6, 6, 7, 9];
type Step =
  | { readonly kind: 'client'; readonly drawn: Drawn }
  | {
      readonly kind: 'again' | 'answer' | 'error';
      readonly back: number;
      readonly flags: number;
      readonly size: number;
    }
  | string;

const CLIENTS = ['10.0.1.2', '10.0.1.3', '10.9.1.1', '10.9.1.2', '10.9.2.9', '10.9.77.3'];
const DESTINATIONS = [...VIPS, '10.0.1.1', '10.0.2.2'];
const PORTS = [80, 443, 53, 8_080];
const opening = fc
  .record({
    src: one(...CLIENTS),
    dst: one(...VIPS, ...VIPS, ...VIPS, ...DESTINATIONS),
    proto: one(PROTO_TCP, PROTO_TCP, PROTO_TCP, PROTO_UDP, PROTO_UDP, 1),
    number: one(0, 1, 2, null),
    port: one(80, 80, 80, 443, 53, 53, 8_080),
    flags: one(0, 0, 0, 0, 0, 4, 7),
    size: one(0, 20, 1_400),
    ttl: one(64, 64, 64, 64, 64, 1, 2),
    fault: one<Drawn['fault']>('none', 'none', 'none', 'none', 'none', 'none', 'none', 'checksum', 'cut'),
    mtu: one(0, 0, 0, 0, 0, 0, 0, 300),
  })
  .map(({ src, dst, port, proto, number, ...rest }): Step => {
    const dstPort = proto === PROTO_UDP && port === 80 ? 53 : proto === PROTO_TCP && port === 53 ? 80 : port;
    // Where two flows would be masqueraded alike Linux draws another port: none are. Port 20 is for FTP's data.
    const srcPort =
      2_000 +
      CLIENTS.indexOf(src) * 100 +
      DESTINATIONS.indexOf(dst) * 20 +
      PORTS.indexOf(dstPort) * 4 +
      (number ?? 0);
    return {
      kind: 'client',
      drawn: {
        ...{ port: CLIENT_SIDE, src: ip(src), dst: ip(dst), tos: 0, df: true, proto, dstPort },
        srcPort: number === null && src === '10.0.1.3' && dst === VIPS[0] ? 20 : srcPort,
        ...rest,
      },
    };
  });
const later = fc.record({
  kind: one<'again' | 'answer' | 'error'>('again', 'answer', 'answer', 'error'),
  back: fc.nat(20),
  flags: one(...FLAGS),
  size: one(0, 20, 700),
});
const step = fc.oneof(
  { weight: 8, arbitrary: opening },
  { weight: 8, arbitrary: later },
  { weight: 2, arbitrary: change },
);

/** What a server says to a packet that came to it; null where it says nothing. */
function answerTo({ frame }: Out, flags: number, size: number): Drawn | null {
  if (u16(frame, 12) !== ETHERTYPE_IPV4 || ipFragmentOffset(frame, ETH_HLEN) > 0) return null;
  const proto = ipProto(frame, ETH_HLEN);
  if (proto !== PROTO_TCP && proto !== PROTO_UDP) return null;
  return {
    ...{ port: SERVER_SIDE, src: ipDst(frame, ETH_HLEN), dst: ipSrc(frame, ETH_HLEN), proto },
    ...{ srcPort: u16(frame, ETH_HLEN + 22), dstPort: u16(frame, ETH_HLEN + 20) },
    ...{ flags: flags === 0 ? 3 : flags, size, ttl: 64, tos: 0, df: true, fault: 'none', mtu: 0 },
  };
}

/** `flags` say which error: that no such port is there, that no such host is, or that it is too long for a link of 600 bytes. */
function errorTo({ frame }: Out, flags: number, size: number): Uint8Array | null {
  if (u16(frame, 12) !== ETHERTYPE_IPV4) return null;
  const code = [3, 1, 4][flags % 3]!;
  const length = Math.min(frame.length - ETH_HLEN, 28 + size);
  return frameOf(
    ipDst(frame, ETH_HLEN),
    ipSrc(frame, ETH_HLEN),
    1,
    encodeIcmpError(3, code, code === 4 ? 600 : 0, frame, ETH_HLEN, length),
    PACKET_ID,
  );
}

/** Connections in the order of the alphabet, without the time that they have left. */
function connections(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/^(\S+ +)\d\d:\d\d/, '$1'))
    .sort()
    .join('\n');
}

/** Flows likewise, without what is told on stderr. */
function flows(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.startsWith('conntrack v'))
    .map((line) =>
      line
        .replace(/^(\S+ +\d+ )\d+ /, '$1')
        .replace(/ use=\d+/, '')
        .trimEnd(),
    )
    .sort()
    .join('\n');
}

guestTest('generated virtual services send, answer and count as in Linux', async (t, guest) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.array(setting, { maxLength: 3 }),
      fc.array(rule, { maxLength: 2 }),
      fc.array(addService, { minLength: 3, maxLength: 6, size: 'max' }),
      fc.array(addServer, { minLength: 8, maxLength: 18, size: 'max' }),
      fc.array(step, { minLength: 15, maxLength: 40, size: 'max' }),
      one('counted', '', ''),
      async (settings, rules, services, servers, steps, counted) => {
        const twin = await Twin.start([{ name: 'v0' }, { name: 'w0' }], SET_UP, { guest, first: FIRST });
        try {
          await twin.all([...settings, ...rules, ...services, ...servers]);
          await twin.same('ipvsadm -Ln');
          await twin.same('ipvsadm -S');
          const sent: Drawn[] = [];
          const came: Out[] = [];
          for (const each of steps) await take(twin, each, sent, came);
          for (const list of ['', '--thresholds', '--persistent-conn'])
            await twin.same(`ipvsadm -Ln ${list}`.trim());
          if (counted === 'counted') {
            // Linux adds up what its CPUs have counted every 2 s.
            await twin.linux.run('sleep 2.1');
            await twin.same('ipvsadm -Ln --stats');
          }
          await twin.same('ipvsadm -Lnc', connections);
          await twin.same('conntrack -L', flows);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(3, 3),
  );
  t.pass();
});

/** `sent` by clients, and `came` to servers so far. */
async function take(twin: Twin, step: Step, sent: Drawn[], came: Out[]): Promise<void> {
  if (typeof step === 'string') {
    await twin.all([step]);
    return;
  }
  let drawn: Drawn | null = null;
  if (step.kind === 'client') drawn = step.drawn;
  else if (step.kind === 'again') {
    const old = sent.at(-1 - (step.back % Math.max(sent.length, 1)));
    if (old !== undefined) drawn = { ...old, flags: step.flags, size: step.size, fault: 'none', mtu: 0 };
  } else {
    const last = came.at(-1 - (step.back % Math.max(came.length, 1)));
    if (last === undefined) return;
    if (step.kind === 'error') {
      const frame = errorTo(last, step.flags, step.size);
      if (frame !== null) await twin.send(SERVER_SIDE, frame, 'error');
      return;
    }
    drawn = answerTo(last, step.flags, step.size);
  }
  if (drawn === null) return;
  if (drawn.port === CLIENT_SIDE) sent.push(drawn);
  const told = `${formatIp4(drawn.src)}:${drawn.srcPort} > ${formatIp4(drawn.dst)}:${drawn.dstPort} ${drawn.proto} flags ${drawn.flags}`;
  for (const frame of framesOf(drawn))
    for (const out of await twin.send(drawn.port, frame, told)) if (out.port === SERVER_SIDE) came.push(out);
}
