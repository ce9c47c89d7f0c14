import { DNS_PORT } from '../../protocols/dns/message.ts';
import type { DnsServer } from '../../protocols/dns/server.ts';
import { formatIp, type IpAddress } from '../../protocols/ip.ts';
import { bindAt, bindBoth, listenAt, listenBoth, type OnDatagram } from '../kernel/dual-stack.ts';
import type { Netns } from '../kernel/netns.ts';
import type { TcpSocket } from '../kernel/tcp.ts';
import { TcpWriter } from '../tcp-writer.ts';

/**
 * Lets a server answer at port 53, or others, of an address of a namespace (0: all of them, those of IPv6 too), by UDP and TCP,
 * from the address that was asked. @throws PortInUseError
 */
export function serveDns(
  ns: Netns,
  addr: number,
  server: DnsServer,
  ports: { readonly udp: number; readonly tcp: number } = { udp: DNS_PORT, tcp: DNS_PORT },
): { close(): void } {
  const asked: OnDatagram = ({ src, srcPort, payload }, answer) => {
    const client = { address: formatIp(src), port: srcPort, transport: 'udp' } as const;
    server.receive(payload, client, answer);
  };
  const accepted = (socket: TcpSocket<IpAddress>) => {
    const writer = new TcpWriter(socket);
    const { remote } = socket;
    const client = { address: formatIp(remote.addr), port: remote.port };
    socket.onData = server.stream(client, (bytes) => writer.write(bytes));
    socket.onPeerClosed = () => writer.end();
  };
  const udp = addr === 0 ? bindBoth(ns, ports.udp, asked) : bindAt(ns, { addr, port: ports.udp }, asked);
  const tcp =
    addr === 0 ? listenBoth(ns, ports.tcp, accepted) : listenAt(ns, { addr, port: ports.tcp }, accepted);
  return {
    close: () => {
      udp.close();
      tcp.close();
      server.close();
    },
  };
}
