import { formatIp, type IpAddress } from '../../../protocols/ip.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import { echoTcp } from './echo.ts';
import { serveHttp } from './http-server.ts';
import { imageName, listensOf, type Port } from './images.ts';
import { type ProcessHost, processHost } from './process-host.ts';
import { type Identity, respond } from './responder.ts';

export interface WorkloadOptions {
  /** Container's name, or `namespace/name` of the pod. */
  readonly name: string;
  /** Container's id, or the pod's uid. */
  readonly uid: string;
  readonly hostname: string;
  /** Reference of the image, `nginx:1.25`. */
  readonly image: string;
  /** Ports beside the image's own. */
  readonly expose: readonly Port[];
}

export interface RunningWorkload {
  /** As when the process ends: nothing listens any more, connections that are open are closed. */
  close(): void;
}

/**
 * Runs what stands in for a container's process: its servers, on all addresses of a namespace. @throws PortInUseError where
 * another workload in the namespace has one of the ports; then nothing is left listening
 */
export function startWorkload(
  ns: Netns,
  options: WorkloadOptions,
  host: ProcessHost = processHost(ns),
): RunningWorkload {
  const { rt } = host;
  const closers: (() => void)[] = [];
  const connections = new Set<TcpSocket<IpAddress>>();
  const close = () => {
    for (const one of closers.splice(0)) one();
    for (const socket of [...connections]) socket.close();
  };
  const identity: Identity = { ...options, addresses: () => addressesOf(ns) };
  const server = imageName(options.image) || 'reroute';
  try {
    for (const { port, protocol, service } of listensOf(options.image, options.expose)) {
      if (protocol === 'udp') {
        const udp = host.serveUdp(port, (payload, send) => send(payload));
        closers.push(() => udp.close());
        continue;
      }
      const listener = host.listenTcp(port, (socket) => {
        if (service === 'http') serveHttp(rt, socket, server, (request) => respond(identity, request));
        else echoTcp(socket);
        connections.add(socket);
        const { onClosed } = socket;
        socket.onClosed = (reason) => {
          connections.delete(socket);
          onClosed?.(reason);
        };
      });
      closers.push(() => listener.close());
    }
  } catch (error) {
    close();
    throw error;
  }
  return { close };
}

function addressesOf(ns: Netns): string[] {
  return ns
    .devices()
    .filter(({ kind, up }) => kind !== 'loopback' && up)
    .flatMap(({ addresses, inet6 }) => [
      ...addresses.map(({ addr, len }) => `${formatIp(addr)}/${len}`),
      ...inet6.addresses.map(({ addr, len }) => `${formatIp(addr)}/${len}`),
    ]);
}
