import { parseIp4 } from '../../../../protocols/ip4.ts';
import type { DockerPortBinding } from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import type { TcpSocket } from '../../../kernel/tcp.ts';
import { PortInUseError, type UdpSocket } from '../../../kernel/udp.ts';
import type { TimerHandle } from '../../../runtime.ts';
import { DockerError } from '../error.ts';

/** How long docker-proxy keeps the way back of a UDP client, ms (`UDPConnTrackTimeout`). */
const UDP_TIMEOUT = 90_000;

/**
 * docker-proxy: takes what no iptables rule has translated, as from the host's loopback or from a container on the same
 * bridge, and relays it to the container.
 */
export class PortProxy {
  readonly #close: () => void;

  private constructor(close: () => void) {
    this.#close = close;
  }

  /** @throws DockerError when the host's port is somebody's */
  static listen(root: Netns, binding: DockerPortBinding, container: number): PortProxy {
    const { proto, hostIp, hostPort, port } = binding;
    const local = { addr: parseIp4(hostIp) ?? 0, port: hostPort };
    try {
      if (proto === 'udp') return new PortProxy(relayUdp(root, local, container, port));
      // SCTP has no sockets here; its rules are there.
      if (proto === 'sctp') return new PortProxy(() => {});
      return new PortProxy(relayTcp(root, local, container, port));
    } catch (error) {
      if (!(error instanceof PortInUseError)) throw error;
      const what = proto === 'udp' ? 'udp4' : 'tcp4';
      throw new DockerError(
        `Error starting userland proxy: listen ${what} ${hostIp}:${hostPort}: bind: address already in use`,
      );
    }
  }

  close(): void {
    this.#close();
  }
}

interface Local {
  readonly addr: number;
  readonly port: number;
}

function relayTcp(root: Netns, local: Local, container: number, port: number): () => void {
  const open = new Set<TcpSocket>();
  const listener = root.listenTcp(local, (client) => {
    const server = root.connectTcp({ src: 0, dst: container, port });
    open.add(client).add(server);
    client.pause();
    server.onConnected = () => client.resume();
    pipe(client, server, open);
    pipe(server, client, open);
  });
  return () => {
    listener.close();
    for (const socket of open) socket.abort();
  };
}

/** Carries what one socket receives to the other, no faster than the other takes it. */
function pipe(from: TcpSocket, to: TcpSocket, open: Set<TcpSocket>): void {
  let unsent: Uint8Array[] = [];
  let ended = false;
  const flush = () => {
    while (unsent.length > 0) {
      const head = unsent[0]!;
      const taken = to.send(head);
      if (taken < head.length) {
        unsent[0] = head.subarray(taken);
        from.pause();
        return;
      }
      unsent.shift();
    }
    if (ended) to.close();
    else from.resume();
  };
  from.onData = (bytes) => {
    unsent.push(bytes.slice());
    if (unsent.length === 1) flush();
  };
  to.onWritable = flush;
  from.onPeerClosed = () => {
    ended = true;
    flush();
  };
  from.onClosed = (reason) => {
    open.delete(from);
    unsent = [];
    if (reason !== 'closed' && open.has(to)) to.abort();
  };
}

function relayUdp(root: Netns, local: Local, container: number, port: number): () => void {
  const { rt } = root.kernel;
  const flows = new Map<string, { readonly socket: UdpSocket; timer: TimerHandle }>();
  const end = (key: string) => {
    const flow = flows.get(key);
    flows.delete(key);
    flow?.socket.close();
  };
  const listener = root.bindUdp(local, ({ src, srcPort, dst, payload }) => {
    const key = `${src}:${srcPort}`;
    let flow = flows.get(key);
    if (flow === undefined) {
      const socket = root.bindUdp({ addr: 0, port: 0 }, (answer) => {
        if (answer.src === container && answer.srcPort === port)
          listener.sendTo(src, srcPort, answer.payload.slice(), { src: dst });
      });
      flow = { socket, timer: rt.timers.set(rt.now + UDP_TIMEOUT, () => end(key)) };
      flows.set(key, flow);
    } else {
      rt.timers.cancel(flow.timer);
      flow.timer = rt.timers.set(rt.now + UDP_TIMEOUT, () => end(key));
    }
    flow.socket.sendTo(container, port, payload.slice());
  });
  return () => {
    listener.close();
    for (const [key, { timer }] of [...flows]) {
      rt.timers.cancel(timer);
      end(key);
    }
  };
}
