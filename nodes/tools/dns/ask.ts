import { type DnsAnswer, exchange } from '../../../protocols/dns/exchange.ts';
import { parseResolvConf, type ResolvConf } from '../../../protocols/dns/files.ts';
import type { DnsMessage } from '../../../protocols/dns/message.ts';
import type { LookupFamily } from '../../../protocols/dns/resolver.ts';
import { formatIp } from '../../../protocols/ip.ts';
import { dnsHost } from '../../dns/host.ts';
import { resolveHost } from '../resolve.ts';
import type { ToolContext } from '../tool.ts';

export interface AskOptions {
  readonly servers: readonly string[];
  /** ms */
  readonly timeout: number;
  /** How often the servers are gone through. */
  readonly tries: number;
  readonly transport: 'udp' | 'tcp';
}

/** `resolv.conf` of the place where a tool runs. */
export function resolvConfOf(ctx: ToolContext): ResolvConf {
  return parseResolvConf(ctx.files?.('/etc/resolv.conf') ?? '');
}

/**
 * Asks one server after the other, as dig and nslookup do: each that fails is reported by a line, an answer of any kind is the
 * end. `done` gets null where nobody has answered.
 */
export function ask(
  ctx: ToolContext,
  query: DnsMessage,
  options: AskOptions,
  report: (line: string) => void,
  done: (answer: DnsAnswer | null) => void,
): { cancel(): void } {
  const { servers, timeout, tries, transport } = options;
  let running: { cancel(): void } | null = null;
  const next = (count: number) => {
    const server = servers[count % servers.length];
    if (server === undefined || count >= servers.length * tries) {
      done(null);
      return;
    }
    running = exchange(
      dnsHost(ctx.ns),
      [query],
      { servers: [server], timeout, attempts: 1, transport },
      ([result]) => {
        if (result?.type === 'response') done(result);
        else if (result?.answer != null) done(result.answer);
        else {
          const why = result?.reason === 'timeout' ? 'timed out' : 'connection refused';
          report(`;; communications error to ${server}#53: ${why}\n`);
          next(count + 1);
        }
      },
    );
  };
  next(0);
  return { cancel: () => running?.cancel() };
}

export type ServerAddresses =
  | { readonly ok: true; readonly addresses: readonly string[] }
  | { readonly ok: false; readonly problem: 'not found' | 'address family not supported' };

/** The addresses of a server that is named on a command line, in order. */
export function serverAddresses(
  ctx: ToolContext,
  text: string,
  family: LookupFamily,
  done: (found: ServerAddresses) => void,
): { cancel(): void } {
  return resolveHost(ctx, text, family, (resolved) => {
    if (resolved.ok) done({ ok: true, addresses: resolved.peers.map(({ addr }) => formatIp(addr)) });
    else
      done({
        ok: false,
        problem: resolved.error === 'EAI_ADDRFAMILY' ? 'address family not supported' : 'not found',
      });
  });
}
