import { dnsHost } from '../../../../nodes/dns/host.ts';
import { serveDns } from '../../../../nodes/dns/serve.ts';
import type { Netns } from '../../../../nodes/kernel/netns.ts';
import { addressOfReverse, formatHostAddress } from '../../../../protocols/dns/address.ts';
import { RCODE, type RecordData, RR_TYPE, typeName } from '../../../../protocols/dns/message.ts';
import { DnsServer } from '../../../../protocols/dns/server.ts';
import { parseIp4 } from '../../../../protocols/ip4.ts';

/** Files as a namespace sees them. */
export function filesOf(files: Readonly<Record<string, string>>): (path: string) => string | null {
  return (path) => files[path] ?? null;
}

/** A DNS server on a namespace, with names and their addresses, forwards and backwards, and other records by `TYPE name`. */
export function serveNames(
  ns: Netns,
  names: Readonly<Record<string, string>>,
  others: Readonly<Record<string, readonly RecordData[]>> = {},
): { close(): void } {
  const server = new DnsServer({
    host: dnsHost(ns),
    recursion: 'available',
    zone: ({ name, type }) => {
      const key = name.toLowerCase();
      const address = names[key];
      const backwards = addressOfReverse(key);
      const owner =
        backwards === null
          ? undefined
          : Object.entries(names).find(([, text]) => text === formatHostAddress(backwards))?.[0];
      const other = others[`${typeName(type)} ${key}`];
      const known = address !== undefined || owner !== undefined || other !== undefined;
      if (!known && !Object.keys(others).some((one) => one.endsWith(` ${key}`)))
        return { type: 'rcode', rcode: RCODE.NXDOMAIN, authority: 'authoritative' };
      const data: RecordData[] = [...(other ?? [])];
      if (address !== undefined && type === RR_TYPE.A)
        data.push({ type: 'A', address: parseIp4(address) ?? 0 });
      if (owner !== undefined && type === RR_TYPE.PTR) data.push({ type: 'PTR', target: owner });
      const answers = data.map((one) => ({ name, class: 1, ttl: 600, data: one }));
      return { type: 'answer', answers, authority: 'authoritative' };
    },
  });
  return serveDns(ns, 0, server);
}
