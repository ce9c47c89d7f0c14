import type { Netns } from '../../kernel/netns.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import { TcpWriter } from '../../tcp-writer.ts';

/** RFC 862 over UDP: what comes goes back, from the address that it came to. @throws PortInUseError */
export function echoUdp(host: Pick<Netns, 'bindUdp'>, port: number): { close(): void } {
  const udp = host.bindUdp({ addr: 0, port }, ({ src, srcPort, dst, payload }) => {
    udp.sendTo(src, srcPort, payload, { src: dst });
  });
  return udp;
}

/** RFC 862 over TCP. Reads no faster than the other end takes what is sent back. */
export function echoTcp(socket: TcpSocket): void {
  const writer = new TcpWriter(socket);
  socket.onData = (bytes) => {
    writer.write(bytes.slice());
    if (writer.waiting > 0) socket.pause();
  };
  writer.onDrained = () => socket.resume();
  socket.onPeerClosed = () => writer.end();
}
