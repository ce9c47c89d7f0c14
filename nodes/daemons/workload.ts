import type { IpAddress } from '../../protocols/ip.ts';
import {
  answer,
  isProbeRequest,
  mayBeProbe,
  PROBE_HLEN,
  PROBE_PORT,
  replyTemplate,
} from '../../protocols/probe.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { TcpWriter } from '../tcp-writer.ts';
import { type ProcessHost, processHost } from './workload/process-host.ts';

/** What runs in every pod: an echo service (RFC 862) on UDP and TCP that answers a probe with the pod's uid. */
export class Workload {
  readonly #close: (() => void)[] = [];

  constructor(
    ns: Netns,
    pod: { readonly uid: string; readonly name: string },
    host: ProcessHost = processHost(ns),
  ) {
    const reply = replyTemplate(pod.uid, pod.name);
    const udp = host.serveUdp(PROBE_PORT, (payload, send) => {
      if (!isProbeRequest(payload, 0, payload.length)) {
        send(payload);
        return;
      }
      answer(reply, payload, 0);
      send(reply);
    });
    this.#close.push(() => udp.close());
    const tcp = host.listenTcp(PROBE_PORT, (socket) => serveEcho(socket, reply));
    this.#close.push(() => tcp.close());
  }

  /** Stops serving; connections that are open end with the namespace. */
  close(): void {
    for (const close of this.#close) close();
  }
}

/** Reads no faster than it can write: what the send buffer does not take waits, and reading with it. */
export function serveEcho(socket: TcpSocket<IpAddress>, reply: Uint8Array): void {
  const writer = new TcpWriter(socket);
  const stream = new EchoStream(reply, (bytes) => {
    writer.write(bytes);
    if (writer.waiting > 0) socket.pause();
  });
  writer.onFlushed = () => socket.resume();
  socket.onData = (bytes) => stream.receive(bytes);
  socket.onPeerClosed = () => writer.end();
}

/** One connection's bytes: probes are answered for as long as nothing but probes has come, all else is echoed. */
export class EchoStream {
  readonly #reply: Uint8Array;
  readonly #send: (bytes: Uint8Array) => void;
  #pending = new Uint8Array(0);
  #mode: 'probe' | 'echo' = 'probe';

  constructor(reply: Uint8Array, send: (bytes: Uint8Array) => void) {
    this.#reply = reply;
    this.#send = send;
  }

  receive(bytes: Uint8Array): void {
    if (this.#mode === 'echo') {
      this.#send(bytes.slice());
      return;
    }
    const data = new Uint8Array(this.#pending.length + bytes.length);
    data.set(this.#pending);
    data.set(bytes, this.#pending.length);
    let at = 0;
    while (at < data.length && mayBeProbe(data, at, data.length - at)) {
      if (data.length - at < PROBE_HLEN) break;
      const reply = this.#reply.slice();
      answer(reply, data, at);
      this.#send(reply);
      at += PROBE_HLEN;
    }
    if (at < data.length && !mayBeProbe(data, at, data.length - at)) {
      this.#mode = 'echo';
      this.#send(data.slice(at));
      at = data.length;
    }
    this.#pending = data.slice(at);
  }
}
