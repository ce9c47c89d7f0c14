import { addressOfReverse } from '../../../../protocols/dns/address.ts';
import { CLASS_IN, type DnsQuestion, RCODE, RR_TYPE } from '../../../../protocols/dns/message.ts';
import { DnsServer, type ZoneAnswer } from '../../../../protocols/dns/server.ts';
import { dnsHost } from '../../../dns/host.ts';
import { serveDns } from '../../../dns/serve.ts';
import type { DockerContainerFacts } from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import type { DockerLedger } from '../ledger.ts';
import { resolveName, resolvePointer } from './names.ts';

/** Where a container in a network of its own finds its DNS server. */
const ADDRESS = 0x7f00000b;
/** Seconds. */
const TTL = 600;
/** ms that libnetwork waits for each server that it asks on. */
const FORWARD = { timeout: 4000, attempts: 1 };

export interface ResolverOptions {
  readonly ledger: DockerLedger;
  /** The container whose namespace it is, as it is now. */
  readonly container: () => DockerContainerFacts;
  /** Servers to ask for what it does not know. */
  readonly upstream: () => readonly string[];
  /** Whether the container can reach anybody outside of its networks. */
  readonly hasGateway: () => boolean;
}

/** The DNS server that dockerd runs in the namespace of a container in a user-defined network (libnetwork/resolver.go). */
export function startResolver(ns: Netns, options: ResolverOptions): { close(): void } {
  const server = new DnsServer({
    host: dnsHost(ns),
    recursion: 'available',
    forward: FORWARD,
    zone: (question) => answerTo(question, options),
  });
  return serveDns(ns, ADDRESS, server);
}

function answerTo({ name, type }: DnsQuestion, options: ResolverOptions): ZoneAnswer {
  const { ledger, container, upstream, hasGateway } = options;
  if (type === RR_TYPE.A || type === RR_TYPE.AAAA) {
    const found = resolveName(ledger, container(), name);
    if (found.length > 0) {
      // The name is here and has no address of this family: that is an answer, and nobody else is asked.
      const addresses = type === RR_TYPE.A ? found : [];
      return {
        type: 'answer',
        authority: 'cached',
        answers: addresses.map((address) => ({
          name,
          class: CLASS_IN,
          ttl: TTL,
          data: { type: 'A', address },
        })),
      };
    }
  }
  if (type === RR_TYPE.PTR) {
    const address = addressOfReverse(name);
    const target = address?.family === 4 ? resolvePointer(ledger, container(), address.addr) : null;
    if (target !== null)
      return {
        type: 'answer',
        authority: 'cached',
        answers: [{ name, class: CLASS_IN, ttl: TTL, data: { type: 'PTR', target } }],
      };
  }
  if (!hasGateway()) return { type: 'rcode', rcode: RCODE.SERVFAIL, authority: 'cached' };
  return { type: 'forward', servers: upstream() };
}
