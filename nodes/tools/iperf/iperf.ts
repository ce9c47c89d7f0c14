import { parseIp6 } from '../../../protocols/ip6.ts';
import { resolveHost } from '../resolve.ts';
import { endingOnError, type Tool, ToolError, WaitingTool } from '../tool.ts';
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
  const { host } = mode;
  // An address of IPv6 is known for one without -V too.
  const family = parseIp6(host.replace(/%.*/, '')) === null ? options.family : 'ipv6';
  return new WaitingTool(ctx, out, (resume) =>
    resolveHost(ctx, host, family, (resolved) =>
      resume(() => {
        if (!resolved.ok)
          throw new ToolError(
            resolved.error === 'EAI_ADDRFAMILY'
              ? `ERROR: failed to find an ip address for host '${host}'`
              : `${host}: Host name lookup failure`,
            1,
          );
        const [peer] = resolved.peers;
        return protocol === 'udp'
          ? new UdpClient(ctx, out, options, host, peer)
          : new TcpClient(ctx, out, options, host, peer);
      }),
    ),
  );
});
