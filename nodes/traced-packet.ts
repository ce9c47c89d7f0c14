import type { TracedPacket } from './commands.ts';
import type { Netns } from './kernel/netns.ts';
import { sendErrorText } from './tools/send-error.ts';

/** How long the socket waits for the answer, ms. */
const WAIT = 5_000;
/** Bytes of a datagram, and of an echo request as ping sends it. */
const DATAGRAM = 32;
const ECHO = 56;

/** Sends the packet that is to be followed; what the stack says if it cannot, or null. */
export function sendTraced(ns: Netns, target: number, packet: TracedPacket): string | null {
  const { rt } = ns.kernel;
  switch (packet.proto) {
    case 'tcp': {
      const socket = ns.connectTcp({ src: 0, dst: target, port: packet.port });
      socket.onConnected = () => socket.close();
      rt.timers.set(rt.now + WAIT, () => socket.abort());
      return null;
    }
    case 'udp': {
      const socket = ns.bindUdp({ addr: 0, port: 0 }, () => {});
      rt.timers.set(rt.now + WAIT, () => socket.close());
      const error = socket.sendTo(target, packet.port, new Uint8Array(DATAGRAM));
      return error === null ? null : sendErrorText(error);
    }
    case 'icmp': {
      const socket = ns.openIcmp({ onReply: () => {}, onError: () => {} });
      rt.timers.set(rt.now + WAIT, () => socket.close());
      const id = rt.random.int(1, 0xffff);
      const error = socket.sendEcho(target, { id, seq: 1, size: ECHO });
      return error === null ? null : sendErrorText(error);
    }
  }
}
