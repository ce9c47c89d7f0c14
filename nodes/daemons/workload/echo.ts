import type { IpAddress } from '../../../protocols/ip.ts';
import type { TcpSocket } from '../../kernel/tcp.ts';
import { TcpWriter } from '../../tcp-writer.ts';

/** RFC 862 over TCP. Reads no faster than the other end takes what is sent back. */
export function echoTcp(socket: TcpSocket<IpAddress>): void {
  const writer = new TcpWriter(socket);
  socket.onData = (bytes) => {
    writer.write(bytes.slice());
    if (writer.waiting > 0) socket.pause();
  };
  writer.onFlushed = () => socket.resume();
  socket.onPeerClosed = () => writer.end();
}
