import type { IpAddress } from '../protocols/ip.ts';
import { ANY_IP6 } from '../protocols/ip6.ts';
import type { TracedPacket } from './commands.ts';
import type { IcmpHandlers, IcmpSocket } from './kernel/icmp.ts';
import type { Netns } from './kernel/netns.ts';
import type { TcpLayer } from './kernel/tcp.ts';
import type { UdpLayer } from './kernel/udp.ts';
import { sendErrorText } from './tools/send-error.ts';

/** How long the socket waits for the answer, ms. */
const WAIT = 5_000;
/** Bytes of a datagram, and of an echo request as ping sends it. */
const DATAGRAM = 32;
const ECHO = 56;

/** Sends the packet that is to be followed; what the stack says if it cannot, or null. */
export function sendTraced(ns: Netns, target: IpAddress, packet: TracedPacket): string | null {
  if (typeof target === 'number') return send(ns, ns.tcp, ns.udp, ns.icmp, 0, target, packet);
  const { tcp, udp, icmp } = ns.ipv6;
  return send(ns, tcp, udp, icmp, ANY_IP6, target, packet);
}

/** What opens sockets for echoes, of one family. */
interface EchoLayer<A extends IpAddress> {
  open(handlers: IcmpHandlers<A>): IcmpSocket<A>;
}

function send<A extends IpAddress>(
  { kernel: { rt } }: Netns,
  tcp: TcpLayer<A>,
  udp: UdpLayer<A>,
  icmp: EchoLayer<A>,
  unspecified: A,
  target: A,
  packet: TracedPacket,
): string | null {
  switch (packet.proto) {
    case 'tcp': {
      const socket = tcp.connect({ src: unspecified, dst: target, port: packet.port });
      socket.onConnected = () => socket.close();
      rt.timers.set(rt.now + WAIT, () => socket.abort());
      return null;
    }
    case 'udp': {
      const socket = udp.bind({ addr: unspecified, port: 0 }, () => {});
      rt.timers.set(rt.now + WAIT, () => socket.close());
      const error = socket.sendTo(target, packet.port, new Uint8Array(DATAGRAM));
      return error === null ? null : sendErrorText(error);
    }
    case 'icmp': {
      const socket = icmp.open({ onReply: () => {}, onError: () => {} });
      rt.timers.set(rt.now + WAIT, () => socket.close());
      const id = rt.random.int(1, 0xffff);
      const error = socket.sendEcho(target, { id, seq: 1, size: ECHO });
      return error === null ? null : sendErrorText(error);
    }
  }
}
