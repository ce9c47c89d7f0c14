import type { EchoReply, IcmpErrorReport, IcmpSocket } from '../kernel/icmp.ts';
import type { SendError } from '../kernel/ip.ts';
import type { UdpSocket } from '../kernel/udp.ts';
import type { IcmpError } from './icmp-text.ts';
import type { ToolContext } from './tool.ts';

/** What comes back for a probe: the destination itself, or an ICMP error about it. */
export type Answer =
  | { readonly type: 'reply'; readonly from: number }
  | { readonly type: 'error'; readonly from: number; readonly error: IcmpError };

/** How probes are made, and answers told apart. */
export interface ProbeMethod {
  /** Sends the probe numbered `index`, from 0. */
  send(index: number, ttl: number): SendError | null;
  close(): void;
}

interface ProbeOptions {
  readonly dst: number;
  /** 0: the one that routing prefers. */
  readonly src: number;
  /** Whole packet, bytes. */
  readonly packetLength: number;
  readonly dontFragment: boolean;
  /** First port or sequence number; 0: the usual. */
  readonly port: number;
}

const HEADERS = 28;
const FIRST_PORT = 33_434;
const MAX_PORT = 65_535;

/** UDP to one port after the other, on which nobody listens: the method of Van Jacobson's traceroute. */
export function udpProbes(
  ctx: ToolContext,
  options: ProbeOptions,
  onAnswer: (index: number, answer: Answer) => void,
): ProbeMethod {
  const { dst, src, dontFragment } = options;
  const payload = Uint8Array.from({ length: options.packetLength - HEADERS }, (_, i) => 0x40 + (i & 0x3f));
  const first = options.port === 0 ? FIRST_PORT : options.port;
  const portOf = (index: number) => ((first - 1 + index) % MAX_PORT) + 1;
  const indexOf = (port: number) => (port - first + MAX_PORT) % MAX_PORT;
  const socket: UdpSocket = ctx.ns.bindUdp({ addr: src, port: 0 }, (datagram) => {
    if (datagram.src === dst) onAnswer(indexOf(datagram.srcPort), { type: 'reply', from: dst });
  });
  socket.onError = (report) => {
    if (report.dst === dst)
      onAnswer(indexOf(report.dstPort), { type: 'error', from: report.from, error: report });
  };
  return {
    send: (index, ttl) =>
      socket.sendTo(dst, portOf(index), payload.slice(), {
        ttl,
        src,
        ...(dontFragment ? { df: 'probe' as const } : {}),
      }),
    close: () => socket.close(),
  };
}

/** ICMP echoes (`-I`). */
export function icmpProbes(
  ctx: ToolContext,
  options: ProbeOptions,
  onAnswer: (index: number, answer: Answer) => void,
): ProbeMethod {
  const { dst, src, dontFragment, packetLength } = options;
  const id = ctx.rt.random.int(1, 0xffff);
  const first = options.port === 0 ? 1 : options.port;
  const indexOf = (seq: number) => (seq - first) & 0xffff;
  const socket: IcmpSocket = ctx.ns.openIcmp({
    onReply: (reply: EchoReply) => {
      if (reply.id === id && reply.from === dst) onAnswer(indexOf(reply.seq), { type: 'reply', from: dst });
    },
    onError: (report: IcmpErrorReport) => {
      if (report.id === id && report.dst === dst)
        onAnswer(indexOf(report.seq), { type: 'error', from: report.from, error: report });
    },
  });
  return {
    send: (index, ttl) =>
      socket.sendEcho(dst, {
        id,
        seq: (first + index) & 0xffff,
        size: packetLength - HEADERS,
        ttl,
        src,
        ...(dontFragment ? { df: 'probe' as const } : {}),
      }),
    close: () => socket.close(),
  };
}
