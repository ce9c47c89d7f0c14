import { ETH_HLEN } from '../../../../protocols/ethernet.ts';
import { BROADCAST_MAC } from '../../../../protocols/mac.ts';
import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, command, send, show } from './case.ts';
import { connection, DATA, END, FIRST, FOLLOWED, flows, NEXT, OPEN, RESET, SCALED } from './connection4.ts';
import { fragments4, icmpEcho, icmpError, packet4 } from './frames4.ts';
import { ROUTER, SYN, through } from './router4.ts';
import { rest, udp } from './transport.ts';

/** A packet of 10.0.2.2 that goes back where it came from. */
const BACK = { src: '10.0.2.2', dst: '10.0.2.3', upper: udp(25_551, 8_080, 7) };

/** Counts that a chain has, of rules that let all pass. */
const counted = (chain: string, table: string) => show(`iptables -t ${table} -nvxL ${chain}`);

/** A frame whose last byte is another. */
function damaged(frame: Uint8Array): Uint8Array {
  return frame.map((byte, i) => (i === frame.length - 1 ? byte ^ 1 : byte));
}

/** What REJECT says about a datagram to a service, whose NAT the sender is not to hear of. */
const rejected = (...options: readonly string[]) => ({
  setUp: [
    ...ROUTER,
    'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.2.2:99',
    'iptables -A OUTPUT -m conntrack --ctstate RELATED -j ACCEPT',
    'iptables -A OUTPUT -j DROP',
    ['iptables -A FORWARD -p udp -j REJECT', ...options].join(' '),
  ],
  steps: [through({ dst: '10.96.0.10' }), counted('OUTPUT', 'filter'), flows],
});

/** What once differed from Linux in `test/interop/linux/iptables.test.ts` and `test/interop/netfilter.test.ts`. */
export const iptablesCases: CaseGroup = {
  name: 'iptables',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'a redirect quotes the packet with its TTL as it goes on',
      setUp: ROUTER,
      steps: [send(1, packet4({ ...BACK, upper: SYN }))],
    },
    {
      name: 'an ICMP error keeps the bits of the type of service, and none of its precedence',
      setUp: ROUTER,
      steps: [
        send(1, packet4({ ...BACK, tos: 0x10 })),
        ...[0x02, 0xb8, 0xff].map((tos) => through({ tos, ttl: 1 })),
      ],
    },
    {
      name: 'a redirect about a flow that NAT may move does not go out',
      setUp: [
        ...ROUTER,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp -j DNAT --to-destination 10.0.2.3:8080',
      ],
      steps: [send(1, packet4(BACK))],
    },
    {
      name: 'a reset where nobody listens has the DSCP of what it answers, without ECN',
      setUp: ROUTER,
      steps: [0x03, 0x10, 0xbb].map((tos) => through({ dst: '10.0.1.1', upper: SYN, tos })),
    },
    {
      name: 'an echo is answered with the type of service that it has',
      setUp: ROUTER,
      steps: [0x03, 0x10, 0xbb].map((tos) => through({ dst: '10.0.1.1', upper: icmpEcho('request'), tos })),
    },
    {
      name: 'REJECT says nothing about a packet whose checksum is wrong, where it knows one',
      setUp: [...ROUTER, 'iptables -A FORWARD -j REJECT'],
      steps: [
        icmpEcho('request', 4),
        udp(1_000, 53, 4),
        SYN,
        rest(47, [0, 0, 8, 0]),
        rest(200, [1, 2, 3, 4]),
      ].flatMap((upper) => {
        const frame = packet4({ src: '10.0.1.2', dst: '10.0.2.2', upper });
        return [send(0, frame), send(0, damaged(frame))];
      }),
    },
    {
      name: 'REJECT says something about a datagram without a checksum',
      setUp: [...ROUTER, 'iptables -A FORWARD -j REJECT'],
      steps: [through({ upper: rest(17, [1, 0, 0, 53, 0, 8, 0, 0]) })],
    },
    {
      name: 'REJECT says nothing about a fragment that is not the first',
      setUp: [...ROUTER, 'iptables -A FORWARD -j REJECT'],
      steps: [send(0, ...fragments4({ src: '10.0.1.2', dst: '10.0.2.2', upper: udp(1_000, 53, 24) }, 16))],
    },
    {
      name: 'what REJECT says belongs to the flow, translated, before the flow is in the table',
      ...rejected(),
    },
    {
      name: 'so does what it says of a host that is prohibited',
      ...rejected('--reject-with icmp-host-prohibited'),
    },
    {
      name: 'a reset by REJECT belongs to the flow too',
      setUp: [
        ...ROUTER,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p tcp -j DNAT --to-destination 10.0.2.2:99',
        'iptables -A OUTPUT -m conntrack --ctstate RELATED -j ACCEPT',
        'iptables -A OUTPUT -j DROP',
        'iptables -A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
      ],
      steps: [through({ dst: '10.96.0.10', upper: SYN }), counted('OUTPUT', 'filter')],
    },
    {
      name: 'errors of the router itself belong to the flow that they are about',
      setUp: [
        ...ROUTER,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.2.2:99',
        'iptables -A OUTPUT -m conntrack --ctstate RELATED -j ACCEPT',
        'iptables -A OUTPUT -j DROP',
        'ip route add unreachable 10.9.0.0/16',
        'iptables -t nat -A PREROUTING -d 10.96.0.11 -p udp -j DNAT --to-destination 10.9.0.1',
      ],
      steps: [
        // In this order: Linux counts both in one bucket.
        through({ dst: '10.96.0.11' }),
        through({ dst: '10.96.0.10', ttl: 1 }),
        counted('OUTPUT', 'filter'),
      ],
    },
    {
      name: 'of a packet that conntrack has not seen only the state can be told, which is INVALID',
      setUp: [
        ...ROUTER,
        ...[
          '--ctstate INVALID',
          '! --ctstate INVALID',
          '--ctstate NEW',
          '--ctstate INVALID,SNAT',
          '--ctstate NEW,DNAT',
          '--ctproto udp',
          '! --ctproto tcp',
          '--ctorigsrc 10.0.1.2',
          '--ctstate INVALID --ctproto tcp',
          '--ctstatus NONE',
        ].map((match) => `iptables -t raw -A PREROUTING -m conntrack ${match}`),
        'iptables -t raw -A PREROUTING -m state --state INVALID',
      ],
      steps: [through(), counted('PREROUTING', 'raw')],
    },
    {
      name: 'a packet that is not to be followed is UNTRACKED, and nothing else about it matches',
      setUp: [
        ...ROUTER,
        'iptables -t raw -A PREROUTING -p udp -j CT --notrack',
        ...[
          '--ctstate UNTRACKED',
          '--ctstate INVALID',
          '! --ctstate NEW',
          '--ctproto udp',
          '! --ctproto tcp',
        ].map((match) => `iptables -t mangle -A PREROUTING -m conntrack ${match}`),
      ],
      steps: [through(), counted('PREROUTING', 'mangle')],
    },
    {
      name: 'a flow is confirmed once its first packet has got through',
      setUp: [
        ...ROUTER,
        ...['PREROUTING', 'POSTROUTING'].flatMap((chain) =>
          ['CONFIRMED', 'SEEN_REPLY,CONFIRMED', 'NONE']
            .flatMap((status) => [`--ctstatus ${status}`, `! --ctstatus ${status}`])
            .map((match) => `iptables -t mangle -A ${chain} -m conntrack ${match}`),
        ),
      ],
      steps: [
        through(),
        counted('PREROUTING', 'mangle'),
        counted('POSTROUTING', 'mangle'),
        through(),
        counted('PREROUTING', 'mangle'),
        counted('POSTROUTING', 'mangle'),
      ],
    },
    {
      name: 'a limit of more credits than Linux has bits for is refused',
      setUp: ROUTER,
      steps: [
        '--limit 1/day',
        '--limit 1/day --limit-burst 4',
        '--limit 1/day --limit-burst 10000',
        '--limit 1/hour',
        '--limit 1/hour --limit-burst 37',
        '--limit 1/hour --limit-burst 38',
        '--limit 10000/second --limit-burst 10000',
      ].map((limit) => command(`iptables -A FORWARD -m limit ${limit}`)),
    },
    {
      name: 'a gateway is looked for among the routes that lead to no other gateway',
      setUp: ROUTER,
      steps: [
        'ip route add 10.0.2.0/25 via 10.0.2.2',
        'ip route add 10.0.2.0/26 via 10.0.2.2 metric 100',
        'ip route add 172.16.0.0/12 via 10.0.2.3',
        'ip route add 172.17.0.0/16 via 172.16.0.1',
      ].map((line) => command(line)),
    },
    {
      name: 'copies of a packet that a bridge floods are split as it came',
      setUp: [
        'ip link add br0 address 02:00:00:00:00:01 type bridge mcast_snooping 0',
        'ip link set v0 master br0',
        'ip link set w0 master br0',
        'ip addr add 10.0.1.1/24 dev br0',
        'ip link set br0 up',
        'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
      ],
      steps: [BROADCAST_MAC, 0x0200_0000_0099].map((to, i) =>
        send(
          0,
          ...fragments4(
            {
              src: '10.0.1.2',
              dst: i === 0 ? '10.0.1.255' : '10.0.1.99',
              upper: udp(1_000, 53, 1_592),
              to,
              id: 0x1234,
            },
            i === 0 ? 800 : 400,
          ),
        ),
      ),
    },
    {
      name: 'only a SYN begins a direction anew: data before the answer is not what a RST may follow',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        { from: 'client', flags: DATA, seq: NEXT, ack: -69_000 >>> 0, size: 1_400, window: 1 },
        { from: 'client', flags: ['rst'], seq: 1_145, size: 1, window: 0 },
      ),
    },
    {
      name: 'more data than was allowed is counted, as the other end may acknowledge it',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        {
          from: 'server',
          flags: ['syn', 'ack'],
          seq: 1_000,
          ack: NEXT,
          size: 500,
          window: 0,
          options: SCALED,
        },
        { from: 'server', flags: DATA, seq: 1_501, ack: NEXT, size: 1, window: 0 },
        { from: 'server', flags: RESET, seq: 1_502, ack: NEXT, size: 1, window: 65_535 },
        { from: 'server', flags: RESET, seq: -64_498 >>> 0, ack: -355 >>> 0, size: 500, window: 0 },
        { from: 'client', flags: END, seq: NEXT, ack: 1_503, size: 1, window: 0 },
      ),
    },
    {
      name: 'an ACK of what was not sent is invalid, whatever else is in the segment',
      setUp: FOLLOWED,
      steps: connection(
        { ...FIRST, window: 1_000 },
        { from: 'server', flags: RESET, seq: 2_000, ack: -70_255 >>> 0, size: 500, window: 1_000 },
        { from: 'server', flags: RESET, seq: 901, ack: -254 >>> 0, size: 500, window: 1 },
      ),
    },
    {
      name: 'a RST that answers a challenge ACK ends the flow',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        { from: 'server', flags: DATA, seq: 1_000, ack: NEXT, window: 1_000 },
        { from: 'client', flags: RESET, seq: NEXT, ack: 71_000, size: 1_400, window: 1_000 },
      ),
    },
    {
      name: 'where nothing was passed over a RST without ACK answers nothing',
      setUp: FOLLOWED,
      steps: connection(
        FIRST,
        { from: 'server', flags: ['syn'], seq: 67_001, window: 0, options: SCALED.slice(0, 4) },
        { from: 'server', flags: ['rst'], seq: 999, size: 1, window: 1 },
      ),
    },
    ...[END, RESET].map((flags) => ({
      name: `a connection has no days left once both ends have sent ${flags === END ? 'a FIN' : 'a RST'}, be it out of the window`,
      setUp: FOLLOWED,
      steps: connection(
        ...OPEN,
        { from: 'client', flags, seq: 0x4000_0000, ack: 1_000, window: 512 },
        { from: 'server', flags, seq: 0x5000_0000, ack: 100, window: 512 },
      ),
    })),
    {
      name: 'a FIN out of the window that only one end has sent changes nothing',
      setUp: FOLLOWED,
      steps: connection(
        ...OPEN,
        { from: 'client', flags: END, seq: 0x4000_0000, ack: 1_000, window: 512 },
        { from: 'client', flags: END, seq: 0x4000_0000, ack: 1_000, window: 512 },
      ),
    },
    {
      name: 'an error about a translated flow is translated back, outside and within, where its checksum is right',
      setUp: [
        ...FOLLOWED,
        'iptables -t nat -A PREROUTING -d 10.96.0.10 -p udp --dport 53 -j DNAT --to-destination 10.0.2.3:5353',
        'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE',
      ],
      steps: [
        through({ dst: '10.96.0.10', upper: udp(1_000, 53, 30) }),
        ...(() => {
          const about = packet4({ src: '10.0.2.1', dst: '10.0.2.3', ttl: 63, upper: udp(1_000, 5_353, 30) });
          const error = packet4({ src: '10.0.2.7', dst: '10.0.2.1', upper: icmpError(3, 3, about) });
          const short = about.subarray(0, ETH_HLEN + 28);
          return [
            send(1, error),
            send(1, packet4({ src: '10.0.2.7', dst: '10.0.2.1', upper: icmpError(11, 0, short) })),
            send(1, damaged(error)),
          ];
        })(),
        flows,
      ],
    },
  ],
};
