import { addressOfReverse } from '../../../../protocols/dns/address.ts';
import { CLASS_IN, type DnsQuestion, RCODE, RR_TYPE } from '../../../../protocols/dns/message.ts';
import { DnsServer, type ZoneAnswer } from '../../../../protocols/dns/server.ts';
import { dnsHost } from '../../../dns/host.ts';
import { serveDns } from '../../../dns/serve.ts';
import type { DockerContainerFacts } from '../../../events/docker.ts';
import type { Netns } from '../../../kernel/netns.ts';
import { EPHEMERAL_MAX, EPHEMERAL_MIN } from '../../../kernel/udp.ts';
import { runIptables } from '../../../tools/iptables/iptables.ts';
import { DockerError } from '../error.ts';
import type { DockerLedger } from '../ledger.ts';
import { resolveName, resolvePointer } from './names.ts';

/** Where a container in a network of its own finds its DNS server. */
const EMBEDDED_DNS = '127.0.0.11';
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
  const ports = { udp: freePort(ns), tcp: freePort(ns) };
  redirectPort53(ns, ports);
  return serveDns(ns, ADDRESS, server, ports);
}

/** A port of the ephemeral range; the namespace is new, and what has one of its ports is as good as nobody. */
function freePort({ kernel: { rt } }: Netns): number {
  return rt.random.int(EPHEMERAL_MIN, EPHEMERAL_MAX);
}

/** The server is at ports of chance, so that the container can have a server of its own at port 53 (`setup-resolver`). */
function redirectPort53(ns: Netns, ports: { readonly udp: number; readonly tcp: number }): void {
  const iptables = (text: string) => {
    const { code, stderr } = runIptables(ns, ['-t', 'nat', ...text.split(' ')]);
    if (code !== 0) throw new DockerError(`set up rule failed, ${text}: ${stderr.trim()}`);
  };
  for (const [chain, own] of [
    ['OUTPUT', 'DOCKER_OUTPUT'],
    ['POSTROUTING', 'DOCKER_POSTROUTING'],
  ]) {
    iptables(`-N ${own}`);
    iptables(`-I ${chain} -d ${EMBEDDED_DNS} -j ${own}`);
  }
  for (const proto of ['udp', 'tcp'] as const) {
    const to = `${EMBEDDED_DNS}:${ports[proto]}`;
    iptables(`-I DOCKER_OUTPUT -d ${EMBEDDED_DNS} -p ${proto} --dport 53 -j DNAT --to-destination ${to}`);
    iptables(
      `-I DOCKER_POSTROUTING -s ${EMBEDDED_DNS} -p ${proto} --sport ${ports[proto]} -j SNAT --to-source :53`,
    );
  }
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
