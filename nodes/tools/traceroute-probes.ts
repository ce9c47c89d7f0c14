import type { IpAddress } from '../../protocols/ip.ts';
import type { Device } from '../kernel/device.ts';
import type { IcmpErrorReport, IcmpHandlers, IcmpSocket } from '../kernel/icmp.ts';
import type { SendError } from '../kernel/ip.ts';
import type { ReceivedDatagram, UdpSocket } from '../kernel/udp.ts';
import type { ToolContext } from './tool.ts';

/** What comes back for a probe: the destination itself, or an ICMP error about it. */
export type Answer =
  | { readonly type: 'reply'; readonly from: IpAddress }
  | {
      readonly type: 'error';
      readonly from: IpAddress;
      readonly error: Pick<IcmpErrorReport<string>, 'type' | 'code'>;
      /** How traceroute annotates it. */
      readonly mark: string;
    };

/** The sockets of one address family. */
export interface ProbeTransport<A extends IpAddress> {
  bindUdp(onDatagram: (datagram: ReceivedDatagram<A>) => void): UdpSocket<A>;
  openIcmp(handlers: IcmpHandlers<A>): IcmpSocket<A>;
  mark(report: IcmpErrorReport<A>): string;
}

/** How probes are made, and answers told apart. */
export interface ProbeMethod {
  /** Sends the probe numbered `index`, from 0. */
  send(index: number, ttl: number): SendError | null;
  close(): void;
}

interface ProbeOptions<A extends IpAddress> {
  readonly dst: A;
  /** The unspecified address: the one that routing prefers. */
  readonly src: A;
  /** Bytes behind the headers. */
  readonly payload: number;
  readonly dontFragment: boolean;
  /** The device that the destination is of. */
  readonly device?: Device | undefined;
  /** First port or sequence number; 0: the usual. */
  readonly port: number;
}

const FIRST_PORT = 33_434;
const MAX_PORT = 65_535;

/** UDP to one port after the other, on which nobody listens: the method of Van Jacobson's traceroute. */
export function udpProbes<A extends IpAddress>(
  _ctx: ToolContext,
  { bindUdp, mark }: ProbeTransport<A>,
  options: ProbeOptions<A>,
  onAnswer: (index: number, answer: Answer) => void,
): ProbeMethod {
  const { dst, src, dontFragment, device } = options;
  const payload = Uint8Array.from({ length: options.payload }, (_, i) => 0x40 + (i & 0x3f));
  const first = options.port === 0 ? FIRST_PORT : options.port;
  const portOf = (index: number) => ((first - 1 + index) % MAX_PORT) + 1;
  const indexOf = (port: number) => (port - first + MAX_PORT) % MAX_PORT;
  const socket = bindUdp((datagram) => {
    if (datagram.src === dst) onAnswer(indexOf(datagram.srcPort), { type: 'reply', from: dst });
  });
  socket.onError = (report) => {
    if (report.dst === dst) onAnswer(indexOf(report.dstPort), errorOf(report, mark(report)));
  };
  return {
    send: (index, ttl) =>
      socket.sendTo(dst, portOf(index), payload.slice(), {
        ttl,
        src,
        device,
        ...(dontFragment ? { df: 'probe' as const } : {}),
      }),
    close: () => socket.close(),
  };
}

/** ICMP echoes (`-I`). */
export function icmpProbes<A extends IpAddress>(
  ctx: ToolContext,
  { openIcmp, mark }: ProbeTransport<A>,
  options: ProbeOptions<A>,
  onAnswer: (index: number, answer: Answer) => void,
): ProbeMethod {
  const { dst, src, dontFragment, device, payload } = options;
  const id = ctx.rt.random.int(1, 0xffff);
  const first = options.port === 0 ? 1 : options.port;
  const indexOf = (seq: number) => (seq - first) & 0xffff;
  const socket = openIcmp({
    onReply: (reply) => {
      if (reply.id === id && reply.from === dst) onAnswer(indexOf(reply.seq), { type: 'reply', from: dst });
    },
    onError: (report) => {
      if (report.id === id && report.dst === dst)
        onAnswer(indexOf(report.seq), errorOf(report, mark(report)));
    },
  });
  return {
    send: (index, ttl) =>
      socket.sendEcho(dst, {
        id,
        seq: (first + index) & 0xffff,
        size: payload,
        ttl,
        src,
        device,
        ...(dontFragment ? { df: 'probe' as const } : {}),
      }),
    close: () => socket.close(),
  };
}

function errorOf<A extends IpAddress>({ from, type, code }: IcmpErrorReport<A>, mark: string): Answer {
  return { type: 'error', from, error: { type, code }, mark };
}
