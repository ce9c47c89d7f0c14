import { DNS_PORT } from '../../protocols/dns/message.ts';
import type { DnsChannel, DnsChannelHandlers, DnsHost } from '../../protocols/dns/transport.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import type { Netns } from '../kernel/netns.ts';

const NOWHERE: DnsChannel = { send: () => {}, close: () => {} };

/** A DNS client's place in a namespace: its UDP and TCP sockets, and the node's timers and dice. */
export function dnsHost(ns: Netns): DnsHost {
  const { rt } = ns.kernel;
  return {
    openUdp: (server, handlers) => openUdp(ns, server, handlers),
    openTcp: (server, handlers) => openTcp(ns, server, handlers),
    after: (ms, fire) => {
      const timer = rt.timers.set(rt.now + ms, fire);
      return () => rt.timers.cancel(timer);
    },
    randomId: () => rt.random.int(0, 0xffff),
  };
}

function openUdp(ns: Netns, server: string, handlers: DnsChannelHandlers): DnsChannel {
  const addr = parseIp4(server);
  if (addr === null) return unreachable(handlers);
  const socket = ns.bindUdp({ addr: 0, port: 0 }, ({ src, srcPort, payload }) => {
    if (src === addr && srcPort === DNS_PORT) handlers.onBytes(payload);
  });
  socket.onError = (report) => {
    if (report.dst === addr && report.dstPort === DNS_PORT && report.type === 'dest-unreachable')
      handlers.onError();
  };
  return {
    send: (bytes) => {
      if (socket.sendTo(addr, DNS_PORT, bytes) !== null) handlers.onError();
    },
    close: () => socket.close(),
  };
}

function openTcp(ns: Netns, server: string, handlers: DnsChannelHandlers): DnsChannel {
  const addr = parseIp4(server);
  if (addr === null) return unreachable(handlers);
  const socket = ns.connectTcp({ src: 0, dst: addr, port: DNS_PORT });
  socket.onData = (bytes) => handlers.onBytes(bytes);
  socket.onPeerClosed = () => socket.close();
  socket.onClosed = () => handlers.onError();
  return { send: (bytes) => void socket.send(bytes), close: () => socket.close() };
}

/** A server that there is no socket to reach by: an IPv6 address yet. */
function unreachable(handlers: DnsChannelHandlers): DnsChannel {
  return { ...NOWHERE, send: () => handlers.onError() };
}
