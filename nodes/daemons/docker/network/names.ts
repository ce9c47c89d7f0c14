import { formatIp4, parseIp4 } from '../../../../protocols/ip4.ts';
import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerServiceFacts,
} from '../../../events/docker.ts';
import { isUserDefined } from '../create.ts';
import type { DockerLedger } from '../ledger.ts';
import { plainAddress } from '../sandbox.ts';

/** The user-defined networks that a container is in; the routing mesh's last (libnetwork's `ResolveName`). */
function scopes(container: DockerContainerFacts): DockerEndpointFacts[] {
  return container.endpoints
    .filter(({ network, address }) => isUserDefined(network) && address !== '')
    .toSorted((a, b) => Number(isIngress(a)) - Number(isIngress(b)));
}

function isIngress({ network }: DockerEndpointFacts): boolean {
  return network === 'ingress';
}

/**
 * Addresses that a name stands for where an endpoint is: its own for its names and for `tasks.` with its service's, the virtual one
 * for its service's (libnetwork's `addEndpointNameResolution`).
 */
function answersOf(
  name: string,
  {
    names,
    address,
    service,
  }: { names: readonly string[]; address: string; service?: DockerServiceFacts | undefined },
): string[] {
  const own = names.some((one) => one.toLowerCase() === name);
  if (service === undefined || service.disabled === true) return own ? [address] : [];
  const known = [service.name, ...service.aliases].map((one) => one.toLowerCase());
  if (known.includes(name)) return [service.vip === '' ? address : service.vip];
  return own || known.some((one) => `tasks.${one}` === name) ? [address] : [];
}

/** Names that an endpoint has in its network: the container's, if somebody gave it one, and its aliases. */
function namesOf(container: DockerContainerFacts, { aliases }: DockerEndpointFacts): string[] {
  return container.naming === 'given' ? [container.name, ...aliases] : [...aliases];
}

/**
 * What the embedded DNS server answers a container for a name (libnetwork's `ResolveName`): addresses of the endpoints
 * that have it, in the first network where any has. `name.network` looks in that network alone. [] for none.
 */
export function resolveName(ledger: DockerLedger, asking: DockerContainerFacts, text: string): number[] {
  const name = text.replace(/\.$/, '').toLowerCase();
  for (const scope of scopes(asking)) {
    const suffix = `.${scope.network.toLowerCase()}`;
    const names = name.endsWith(suffix) ? [name, name.slice(0, -suffix.length)] : [name];
    for (const candidate of names) {
      const link = scope.links.find(
        (entry) => entry.slice(entry.indexOf(':') + 1).toLowerCase() === candidate,
      );
      const meant = link === undefined ? candidate : link.slice(0, link.indexOf(':')).toLowerCase();
      const remote = ledger.peers.flatMap((peer) =>
        peer.networkId === scope.networkId ? answersOf(meant, peer) : [],
      );
      const local = ledger.containers.flatMap((container) =>
        container.endpoints.flatMap((endpoint) => {
          if (endpoint.networkId !== scope.networkId || endpoint.address === '') return [];
          const names = namesOf(container, endpoint);
          return answersOf(meant, { names, address: plainAddress(endpoint), service: endpoint.service });
        }),
      );
      const found = [...new Set([...local, ...remote].map((address) => parseIp4(address) ?? 0))];
      if (found.length > 0) return found;
    }
  }
  return [];
}

/** What it answers for an address: `name.network`; null if nobody in the container's networks has it. */
export function resolvePointer(
  ledger: DockerLedger,
  asking: DockerContainerFacts,
  addr: number,
): string | null {
  const text = formatIp4(addr);
  for (const scope of scopes(asking)) {
    for (const container of ledger.containers) {
      const endpoint = container.endpoints.find(
        ({ networkId, address }) => networkId === scope.networkId && address.split('/')[0] === text,
      );
      const [name] = endpoint === undefined ? [] : namesOf(container, endpoint);
      if (name !== undefined) return `${name}.${scope.network}`;
    }
    const peer = ledger.peers.find((other) => other.networkId === scope.networkId && other.address === text);
    if (peer?.names[0] !== undefined) return `${peer.names[0]}.${scope.network}`;
  }
  return null;
}
