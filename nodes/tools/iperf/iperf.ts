import { endingOnError, type Tool } from '../tool.ts';
import { parseIperfOptions } from './options.ts';
import { TcpClient, TcpServer } from './tcp.ts';
import { UdpClient } from './udp-client.ts';
import { UdpServer } from './udp-server.ts';

/** iperf(1), version 2: throughput of UDP at a rate, or of TCP at what the path takes. */
export const iperf: Tool = endingOnError((args, ctx, out) => {
  const options = parseIperfOptions(args);
  const { mode, protocol } = options;
  if (mode.side === 'server')
    return protocol === 'udp' ? new UdpServer(ctx, out, options) : new TcpServer(ctx, out, options);
  return protocol === 'udp'
    ? new UdpClient(ctx, out, options, mode.addr)
    : new TcpClient(ctx, out, options, mode.addr);
});
