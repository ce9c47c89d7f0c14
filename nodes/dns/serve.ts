import { DNS_PORT } from '../../protocols/dns/message.ts';
import type { DnsServer } from '../../protocols/dns/server.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import type { Netns } from '../kernel/netns.ts';
import { TcpWriter } from '../tcp-writer.ts';

/**
 * Lets a server answer at port 53, or others, of an address of a namespace (0: all of them), by UDP and TCP, from the address
 * that was asked. @throws PortInUseError
 */
export function serveDns(
  ns: Netns,
  addr: number,
  server: DnsServer,
  ports: { readonly udp: number; readonly tcp: number } = { udp: DNS_PORT, tcp: DNS_PORT },
): { close(): void } {
  const udp = ns.bindUdp({ addr, port: ports.udp }, ({ src, srcPort, dst, payload }) => {
    const client = { address: formatIp4(src), port: srcPort, transport: 'udp' } as const;
    server.receive(payload, client, (bytes) => udp.sendTo(src, srcPort, bytes, { src: dst }));
  });
  const tcp = ns.listenTcp({ addr, port: ports.tcp }, (socket) => {
    const writer = new TcpWriter(socket);
    const { remote } = socket;
    const client = { address: formatIp4(remote.addr), port: remote.port };
    socket.onData = server.stream(client, (bytes) => writer.write(bytes));
    socket.onPeerClosed = () => writer.end();
  });
  return {
    close: () => {
      udp.close();
      tcp.close();
      server.close();
    },
  };
}
