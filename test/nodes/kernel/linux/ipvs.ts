import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, command, send, show, wait } from './case.ts';
import { fragments4, icmpError, type Packet4, packet4 } from './frames4.ts';
import { ROUTER } from './router4.ts';
import { rest, tcp, udp } from './transport.ts';

const CLIENT = '10.0.1.2';
const VIP = '10.96.0.10';
const PROTO_IPIP = 4;

const SYN = tcp({ srcPort: 2_000, dstPort: 80, flags: ['syn'] });
const client = (packet: Partial<Packet4> = {}): Packet4 => ({ src: CLIENT, dst: VIP, upper: SYN, ...packet });
/** Connections without the time that they have left. */
const connections = (text: string) =>
  text
    .split('\n')
    .map((line) => line.replace(/^(\S+ +)\d\d:\d\d/, '$1').trimEnd())
    .sort()
    .join('\n');
const flows = (text: string) =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('conntrack v'))
    .map((line) => line.replace(/^(\S+ +\d+ )\d+ /, '$1').replace(/ use=\d+/, ''))
    .map((line) => line.trimEnd())
    .sort()
    .join('\n');

const SERVICE = [...ROUTER, 'ip link add kube-ipvs0 type dummy', `ip addr add ${VIP}/32 dev kube-ipvs0`];

const balanced = (how: string, ...others: readonly string[]): string[] => [
  ...SERVICE,
  `ipvsadm -A -t ${VIP}:80 -s rr`,
  `ipvsadm -a -t ${VIP}:80 -r 10.0.2.2 ${how}`,
  ...others,
];

/** What the tunnel to 10.0.2.2 carries a packet of the client's in. */
function tunnelled(packet: Packet4): Uint8Array {
  const inner = packet4({ ...packet, ttl: 63 }).subarray(14);
  return packet4({ src: '10.0.2.1', dst: '10.0.2.2', ttl: 63, upper: rest(PROTO_IPIP, inner) });
}

const error = (code: number, about: Uint8Array, dst: string, extra = 0): CaseStep =>
  send(1, packet4({ src: '10.0.2.2', dst, upper: icmpError(3, code, about, extra) }));

/** A packet whose checksum above IP is wrong. */
function broken(packet: Packet4): Uint8Array {
  const frame = packet4(packet);
  frame[frame.length - 1]! ^= 1;
  return frame;
}

const DATA = tcp({ srcPort: 2_000, dstPort: 80, flags: ['syn'], size: 800 });

/** What once differed from Linux in `test/interop/linux/ipvs.test.ts`. */
export const ipvsCases: CaseGroup = {
  name: 'ipvs',
  kernel: 'guest',
  ports: [{ name: 'v0' }, { name: 'w0' }],
  first: ['modprobe ip_vs'],
  settle: settleIpId,
  cases: [
    {
      name: 'a connection counts as an active one from its first segment on',
      setUp: balanced('-m'),
      steps: [
        send(0, packet4(client())),
        show('ipvsadm -Ln'),
        send(0, packet4(client({ upper: tcp({ srcPort: 2_000, dstPort: 80, flags: ['rst'] }) }))),
        show('ipvsadm -Ln'),
        show('ipvsadm -Lnc', connections),
      ],
    },
    {
      name: 'the checksum above IP of what an error quotes stays as it was',
      setUp: balanced('-m'),
      steps: [
        send(0, packet4(client())),
        error(3, packet4({ src: CLIENT, dst: '10.0.2.2', ttl: 63, upper: SYN }), CLIENT),
      ],
    },
    {
      name: 'what conntrack found invalid is tracked anew as it goes on, and masqueraded',
      setUp: balanced('-m', 'iptables -t nat -A POSTROUTING -d 10.0.2.0/24 -j MASQUERADE'),
      steps: [
        send(0, packet4(client({ upper: tcp({ srcPort: 2_001, dstPort: 80, flags: ['syn'] }) }))),
        send(0, broken(client({ upper: DATA }))),
        show('conntrack -L', flows),
      ],
    },
    {
      name: 'an error about a tunnel’s packet is told of to the client',
      setUp: balanced('-i'),
      steps: [
        send(0, packet4(client())),
        error(3, tunnelled(client()), '10.0.2.1'),
        error(1, tunnelled(client()), '10.0.2.1'),
        wait(2_200),
        // It counts twice, as the error and as what that quotes.
        show('ipvsadm -Ln --stats'),
        // Of a connection that nobody has.
        error(1, tunnelled(client({ upper: tcp({ srcPort: 9, dstPort: 80, flags: ['syn'] }) })), '10.0.2.1'),
      ],
    },
    {
      name: 'what is too long for a tunnel is told of to the client, as is what comes after',
      setUp: balanced('-i'),
      steps: [
        send(0, packet4(client({ upper: DATA }))),
        error(4, tunnelled(client({ upper: DATA })), '10.0.2.1', 700),
        send(0, packet4(client({ upper: DATA }))),
        send(0, packet4(client())),
      ],
    },
    {
      name: 'what came in fragments leaves a tunnel in none that are larger',
      setUp: balanced('-i', 'sysctl -w net.ipv4.vs.conntrack=1'),
      steps: [
        send(0, ...fragments4(client({ upper: DATA }), 256)),
        send(0, packet4(client({ upper: DATA }))),
      ],
    },
    {
      name: 'conntrack keeps the flow that goes by a tunnel, and the tunnel’s own',
      setUp: balanced(
        '-i',
        'sysctl -w net.ipv4.vs.conntrack=1',
        'iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP',
      ),
      steps: [send(0, packet4(client())), show('conntrack -L', flows)],
    },
    {
      name: 'a service without a scheduler has no server for anybody',
      setUp: [
        ...SERVICE,
        `ipvsadm -A -u ${VIP}:53 -s none`,
        `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2 -m`,
        'ipvsadm -A -f 7 -s sh',
        'ipvsadm -a -f 7 -r 10.0.2.2:8080',
      ],
      steps: [
        command(`ipvsadm -A -u ${VIP}:54 -s fifo`),
        send(0, packet4(client({ upper: udp(2_000, 53) }))),
        // Marks are of no protocol that names of ports would be of.
        show('ipvsadm -S'),
        show('ipvsadm -Ln'),
      ],
    },
    {
      name: 'packets of connections whose service has gone are dropped, but only while there is any service',
      setUp: [...balanced('-m'), `ipvsadm -A -u ${VIP}:53 -s rr`, `ipvsadm -a -u ${VIP}:53 -r 10.0.2.2 -m`],
      steps: [
        send(0, packet4(client({ upper: udp(2_000, 53) }))),
        command(`ipvsadm -D -u ${VIP}:53`),
        send(0, packet4(client({ upper: udp(2_000, 53) }))),
        command('ipvsadm -C'),
        send(0, packet4(client({ upper: udp(2_000, 53) }))),
        show('ipvsadm -Lnc', connections),
        command(`ipvsadm -A -t ${VIP}:80 -s rr`),
        send(0, packet4(client({ upper: udp(2_000, 53) }))),
      ],
    },
  ],
};
