import { setU16, setU32 } from '../../../../protocols/bytes.ts';
import { SCTP_CHECKSUM, SCTP_HLEN, SCTP_VTAG, sctpChecksum } from '../../../../protocols/sctp.ts';
import { type CaseStep, command, type LinuxCase, send, show, trimmed } from './case.ts';
import { icmpError, packet4 } from './frames4.ts';
import { ROUTER } from './router4.ts';
import { rest, type Upper } from './transport.ts';

type Chunk = readonly [type: number, flags: number, ...value: readonly number[]];

/** A value that begins with a tag, as that of an INIT and its answer does (RFC 9260 §3.3.2). */
const told = (tag: number) => [0, 0, 0, tag, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9];

const INIT = (tag: number): Chunk => [1, 0, ...told(tag)];
const INIT_ACK = (tag: number): Chunk => [2, 0, ...told(tag)];
const COOKIE_ECHO: Chunk = [10, 0, 1, 2, 3, 4];
const COOKIE_ACK: Chunk = [11, 0];
const DATA: Chunk = [0, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
const SACK: Chunk = [3, 0, 0, 0, 0, 9, 0, 0, 4, 0, 0, 0, 0, 0];
const HEARTBEAT: Chunk = [4, 0, 1, 2, 3, 4];
const HEARTBEAT_ACK: Chunk = [5, 0, 1, 2, 3, 4];
const ABORT: Chunk = [6, 0];
const SHUTDOWN: Chunk = [7, 0, 0, 0, 0, 9];
const SHUTDOWN_ACK: Chunk = [8, 0];
const ERROR: Chunk = [9, 0];
const SHUTDOWN_COMPLETE: Chunk = [14, 0];

interface Packet {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly tag: number;
  readonly chunks: readonly Chunk[];
  /** 'wrong': its checksum is. */
  readonly sum?: 'right' | 'wrong';
}

function sctp({ srcPort, dstPort, tag, chunks, sum = 'right' }: Packet): Upper {
  const bytes = chunks.flatMap(([type, flags, ...value]) => {
    const length = 4 + value.length;
    const padding = new Array<number>((4 - (length % 4)) % 4).fill(0);
    return [type, flags, length >> 8, length & 0xff, ...value, ...padding];
  });
  const packet = Uint8Array.of(...new Uint8Array(SCTP_HLEN), ...bytes);
  setU16(packet, 0, srcPort);
  setU16(packet, 2, dstPort);
  setU32(packet, SCTP_VTAG, tag);
  setU32(packet, SCTP_CHECKSUM, sctpChecksum(packet, 0, packet.length) ^ (sum === 'wrong' ? 1 : 0));
  return rest(132, packet);
}

/** Ends of a router: who begins, and who answers as a service that may be reached by another address and port. */
const CLIENT = { host: '10.0.1.2', port: 1_000 };
const SERVER = { host: '10.0.2.2', port: 9_000 };

/** The tags that each end wants to be called by. */
const [CLIENTS, SERVERS] = [0x11, 0x22];

type Said = readonly [from: 'client' | 'server', tag: number, ...chunks: readonly Chunk[]];

/** About how long a flow has still: Linux' clock has gone on when it is asked. */
function about(seconds: number): string {
  const near = [3, 10, 30, 100, 210].find((most) => seconds <= most);
  return `~${near ?? seconds}`;
}

const flows = show('conntrack -L', (text) =>
  trimmed(text)
    .split('\n')
    .filter((line) => /^\w+ +\d+ \d+ /.test(line))
    .map((line) => line.replace(/^(\w+ +\d+) (\d+) /, (_, proto, left) => `${proto} ${about(Number(left))} `))
    .join('\n'),
);

function frame([from, tag, ...chunks]: Said, to = SERVER, sum: 'right' | 'wrong' = 'right'): CaseStep {
  const [src, dst] = from === 'client' ? [CLIENT, to] : [SERVER, CLIENT];
  const upper = sctp({ srcPort: src.port, dstPort: dst.port, tag, chunks, sum });
  return send(from === 'client' ? 0 : 1, packet4({ src: src.host, dst: dst.host, upper }));
}

const HANDSHAKE: readonly Said[] = [
  ['client', 0, INIT(CLIENTS)],
  ['server', CLIENTS, INIT_ACK(SERVERS)],
  ['client', SERVERS, COOKIE_ECHO, DATA],
  ['server', CLIENTS, COOKIE_ACK, SACK],
];

const RULES = [
  'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
  'iptables -A FORWARD -m conntrack --ctstate NEW',
  'iptables -A FORWARD -m conntrack --ctstate ESTABLISHED',
];
const counts = show('iptables -nvxL FORWARD');

/** What two ends say to each other past a router that follows, and its flow after each packet. */
function followed(name: string, ...said: readonly Said[]): LinuxCase {
  return {
    name,
    setUp: [...ROUTER, ...RULES],
    steps: [...said.flatMap((one) => [frame(one), flows]), counts],
  };
}

/** SCTP among flows. */
export const sctpCases: readonly LinuxCase[] = [
  followed(
    'an association opens, carries data and is shut down',
    ...HANDSHAKE,
    ['server', CLIENTS, DATA],
    ['client', SERVERS, SACK],
    ['client', SERVERS, SHUTDOWN],
    ['server', CLIENTS, SHUTDOWN_ACK],
    ['client', SERVERS, SHUTDOWN_COMPLETE],
    ['client', SERVERS, DATA],
    ['client', 0, INIT(0x33)],
  ),
  followed(
    'who answers may shut an association down, or abort it',
    ...HANDSHAKE,
    ['server', CLIENTS, SHUTDOWN],
    ['client', SERVERS, SHUTDOWN_ACK],
    ['server', CLIENTS, ABORT],
  ),
  followed(
    'a tag of another association is of none, but where it is that of the other end by leave',
    ...HANDSHAKE,
    ['client', CLIENTS, DATA],
    ['client', 0x77, ABORT],
    ['client', CLIENTS, [6, 1]],
    ['client', 5, COOKIE_ECHO],
  ),
  followed(
    'an INIT has no tag and stands alone, a cookie stands first, and every chunk has a length',
    ['client', 5, INIT(CLIENTS)],
    ['client', 0, INIT(CLIENTS), DATA],
    ['client', 0, [1, 0, 1, 2]],
    ['client', 0],
    ['client', 0, INIT(CLIENTS)],
    ['server', CLIENTS, INIT_ACK(SERVERS), DATA],
    ['server', CLIENTS, INIT_ACK(SERVERS)],
    ['client', SERVERS, DATA, COOKIE_ECHO],
    ['client', SERVERS, COOKIE_ECHO],
    ['server', CLIENTS, ERROR],
  ),
  followed(
    'no association begins with what ends or answers one',
    ['client', 1, ABORT],
    ['client', 1, SHUTDOWN_COMPLETE],
    ['client', 1, COOKIE_ACK],
    ['client', 1, DATA],
    ['client', 1, SACK],
  ),
  followed(
    'an association that comes to another path begins there with heartbeats',
    ['client', SERVERS, HEARTBEAT],
    ['server', CLIENTS, HEARTBEAT_ACK],
    ['client', SERVERS, DATA],
    ['server', CLIENTS, SACK],
  ),
  followed(
    'a heartbeat with another tag changes the tags once it is answered',
    ...HANDSHAKE,
    ['client', 0x55, HEARTBEAT],
    ['client', 0x55, DATA],
    ['server', 0x66, HEARTBEAT_ACK],
    ['client', 0x55, HEARTBEAT],
    ['client', 0x55, DATA],
    ['server', CLIENTS, DATA],
    ['server', 0x66, DATA],
  ),
  followed(
    'both may begin at the same time',
    ['client', 0, INIT(CLIENTS)],
    ['server', 0, INIT(SERVERS)],
    ['server', CLIENTS, INIT_ACK(SERVERS)],
    ['client', SERVERS, INIT_ACK(CLIENTS)],
    ['client', SERVERS, COOKIE_ECHO],
    ['server', CLIENTS, COOKIE_ACK],
  ),
  followed(
    'what answers out of the blue begins a flow',
    ['client', 5, SHUTDOWN_ACK],
    ['server', 5, SHUTDOWN_COMPLETE],
  ),
  {
    name: 'an INIT again does not keep an association alive that is over',
    setUp: [...ROUTER, ...RULES, 'sysctl -w net.netfilter.nf_conntrack_sctp_timeout_closed=100'],
    steps: [
      frame(['client', 0, INIT(CLIENTS)]),
      flows,
      frame(['server', CLIENTS, ABORT]),
      command('sysctl -w net.netfilter.nf_conntrack_sctp_timeout_closed=2'),
      frame(['client', 0, INIT(CLIENTS)]),
      flows,
    ],
  },
  {
    name: 'a wrong checksum makes a packet no part of a flow, unless it is not looked at',
    setUp: [...ROUTER, ...RULES],
    steps: [
      frame(['client', 0, INIT(CLIENTS)], SERVER, 'wrong'),
      flows,
      command('sysctl -w net.netfilter.nf_conntrack_checksum=0'),
      frame(['client', 0, INIT(CLIENTS)], SERVER, 'wrong'),
      flows,
      send(
        0,
        packet4({ src: CLIENT.host, dst: SERVER.host, upper: rest(132, [3, 232, 35, 40, 0, 0, 0, 0]) }),
      ),
      counts,
    ],
  },
  {
    name: 'NAT gives an association another address and port, with a checksum over all of it',
    setUp: [
      ...ROUTER,
      'iptables -t nat -A PREROUTING -d 10.96.0.10 -p sctp --dport 80 -j DNAT --to-destination 10.0.2.2:9000',
      'iptables -t nat -A POSTROUTING -p sctp -j SNAT --to-source 10.0.2.1:5000',
    ],
    steps: [
      frame(HANDSHAKE[0]!, { host: '10.96.0.10', port: 80 }),
      send(
        1,
        packet4({
          src: SERVER.host,
          dst: '10.0.2.1',
          upper: sctp({ srcPort: 9_000, dstPort: 5_000, tag: CLIENTS, chunks: [INIT_ACK(SERVERS)] }),
        }),
      ),
      frame(HANDSHAKE[2]!, { host: '10.96.0.10', port: 80 }),
      flows,
      // An error tells of it in the client's terms, be what it quotes cut off or not.
      ...[8, 40].map((quoted) =>
        send(
          1,
          packet4({
            src: SERVER.host,
            dst: '10.0.2.1',
            upper: icmpError(
              3,
              3,
              packet4({
                src: '10.0.2.1',
                dst: SERVER.host,
                upper: sctp({ srcPort: 5_000, dstPort: 9_000, tag: SERVERS, chunks: [COOKIE_ECHO, DATA] }),
              }).subarray(0, 34 + quoted),
            ),
          }),
        ),
      ),
    ],
  },
];
