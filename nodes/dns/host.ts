import { DNS_PORT } from '../../protocols/dns/message.ts';
import type { DnsChannel, DnsChannelHandlers, DnsHost } from '../../protocols/dns/transport.ts';
import { parseIp } from '../../protocols/ip.ts';
import { connectTcp, connectUdp } from '../kernel/client-sockets.ts';
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
  const addr = parseIp(server);
  if (addr === null) return unreachable(handlers);
  const socket = connectUdp(ns, { addr }, DNS_PORT, {
    onPayload: (payload) => handlers.onBytes(payload),
    onUnreachable: () => handlers.onError(),
  });
  return {
    send: (bytes) => {
      if (socket.send(bytes) !== null) handlers.onError();
    },
    close: () => socket.close(),
  };
}

function openTcp(ns: Netns, server: string, handlers: DnsChannelHandlers): DnsChannel {
  const addr = parseIp(server);
  if (addr === null) return unreachable(handlers);
  const socket = connectTcp(ns, { addr }, DNS_PORT);
  socket.onData = (bytes) => handlers.onBytes(bytes);
  socket.onPeerClosed = () => socket.close();
  socket.onClosed = () => handlers.onError();
  return { send: (bytes) => void socket.send(bytes), close: () => socket.close() };
}

/** A server that is none: no address. */
function unreachable(handlers: DnsChannelHandlers): DnsChannel {
  return { ...NOWHERE, send: () => handlers.onError() };
}
