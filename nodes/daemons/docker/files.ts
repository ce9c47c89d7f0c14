import type { DockerConfig } from '../../config.ts';
import type { DockerContainerFacts, DockerEndpointFacts } from '../../events/docker.ts';
import type { FileTable } from '../../kernel/files.ts';
import { isUserDefined } from './create.ts';
import { DockerError } from './error.ts';
import type { DockerLedger } from './ledger.ts';
import {
  addHosts,
  bridgeResolvConf,
  deleteHosts,
  embeddedResolvConf,
  type HostsLine,
  hostsFile,
  type ResolvOptions,
  updateHosts,
  upstreamServers,
} from './network/files.ts';
import { plainAddress } from './sandbox.ts';

const HOSTS = '/etc/hosts';
const HOSTNAME = '/etc/hostname';
const RESOLV_CONF = '/etc/resolv.conf';

/** Files that dockerd makes for a container and mounts into it; they are its own by its id. */
export class ContainerFiles {
  readonly #files: FileTable;
  readonly #ledger: DockerLedger;
  readonly #config: DockerConfig;

  constructor(files: FileTable, ledger: DockerLedger, config: DockerConfig) {
    this.#files = files;
    this.#ledger = ledger;
    this.#config = config;
  }

  /** Whose files and namespace a container has: its own, or those of the one that it shares them with. */
  owner(container: DockerContainerFacts): DockerContainerFacts {
    const { networkMode } = container;
    if (!networkMode.startsWith('container:')) return container;
    const target = this.#ledger.containerById(networkMode.slice('container:'.length));
    return target === undefined ? container : this.owner(target);
  }

  /** Text of a file as the container sees it, null if there is none. */
  read(container: DockerContainerFacts, path: string): string | null {
    return this.#files.read(this.owner(container).id, path);
  }

  /** --add-host and --link as lines of /etc/hosts. @throws DockerError for a link to what does not run */
  links(container: DockerContainerFacts): HostsLine[] {
    const added = container.extraHosts.map((text): HostsLine => {
      const colon = text.indexOf(':');
      const address = text.slice(colon + 1);
      return {
        address: address === 'host-gateway' ? this.#hostGateway() : address,
        names: text.slice(0, colon),
      };
    });
    const linked = container.links.map((link): HostsLine => {
      const [id = '', alias = ''] = link.split(':');
      const target = this.#ledger.containerById(id);
      if (target?.state.status !== 'running')
        throw new DockerError(
          `Cannot link to a non running container: /${target?.name ?? id} AS /${container.name}/${alias}`,
        );
      const place = target.endpoints.find(({ network }) => network === 'bridge');
      if (place === undefined)
        throw new DockerError(`Cannot link to /${target.name}, as it does not belong to the default network`);
      const names = [alias, target.hostname, ...(alias === target.name ? [] : [target.name])];
      return { address: plainAddress(place), names: names.join(' ') };
    });
    return [...added, ...linked];
  }

  /** A container has joined its networks and is about to run. */
  started(container: DockerContainerFacts, extra: readonly HostsLine[]): void {
    const { id, networkMode, hostname } = container;
    if (networkMode.startsWith('container:')) return;
    this.#files.write(id, HOSTNAME, `${hostname}\n`);
    const own = container.endpoints.flatMap((endpoint) => this.#ownLine(container, endpoint));
    const host = networkMode === 'host' ? this.#files.read('', HOSTS) : null;
    this.#files.write(id, HOSTS, addHosts(host ?? hostsFile(extra), own));
    this.#writeResolvConf(container);
  }

  /** A container that runs has joined one more network. */
  joined(container: DockerContainerFacts, endpoint: DockerEndpointFacts): void {
    const text = this.#files.read(container.id, HOSTS) ?? '';
    this.#files.write(container.id, HOSTS, addHosts(text, this.#ownLine(container, endpoint)));
    // Once a container has the embedded server, it keeps it.
    if (isUserDefined(endpoint.network)) this.#writeResolvConf(container);
  }

  left(container: DockerContainerFacts, endpoint: DockerEndpointFacts): void {
    const text = this.#files.read(container.id, HOSTS) ?? '';
    this.#files.write(container.id, HOSTS, deleteHosts(text, this.#ownLine(container, endpoint)));
  }

  removed({ id }: DockerContainerFacts): void {
    this.#files.removeAll(id);
  }

  /** A container has started that others are linked to: their /etc/hosts get the address it has now. */
  tellParents(container: DockerContainerFacts): void {
    const address = plainAddress(container.endpoints.find(({ network }) => network === 'bridge'));
    if (address === '') return;
    for (const parent of this.#ledger.containers) {
      if (parent.state.status !== 'running') continue;
      for (const link of parent.links) {
        const [id, alias = ''] = link.split(':');
        const text = id === container.id ? this.#files.read(parent.id, HOSTS) : null;
        if (text !== null) this.#files.write(parent.id, HOSTS, updateHosts(text, address, alias));
      }
    }
  }

  /** Servers that the embedded one asks for what it does not know. */
  upstream(container: DockerContainerFacts): readonly string[] {
    return upstreamServers(this.#files.read('', RESOLV_CONF) ?? '', this.#resolvOptions(container).dns);
  }

  #writeResolvConf(container: DockerContainerFacts): void {
    const host = this.#files.read('', RESOLV_CONF) ?? '';
    const options = this.#resolvOptions(container);
    const embedded = container.endpoints.some(
      ({ network, endpointId }) => isUserDefined(network) && endpointId !== '',
    );
    const own = embedded ? embeddedResolvConf(host, options) : bridgeResolvConf(host, options);
    // Without a network of its own there is nothing wrong with a server on the host's loopback.
    this.#files.write(
      container.id,
      RESOLV_CONF,
      container.networkMode === 'host' && options.dns.length === 0 ? host : own,
    );
  }

  /** What the container was given, else what daemon.json says. */
  #resolvOptions({ dns, dnsSearch, dnsOptions }: DockerContainerFacts): ResolvOptions {
    const config = this.#config;
    return {
      dns: dns.length > 0 ? dns : config.dns,
      search: dnsSearch.length > 0 ? dnsSearch : config.dnsSearch,
      options: dnsOptions.length > 0 ? dnsOptions : config.dnsOptions,
    };
  }

  #ownLine({ hostname, networkMode }: DockerContainerFacts, endpoint: DockerEndpointFacts): HostsLine[] {
    if (endpoint.address === '' || networkMode === 'host') return [];
    return [{ address: plainAddress(endpoint), names: hostname }];
  }

  #hostGateway(): string {
    return this.#ledger.networks.find(({ name }) => name === 'bridge')?.ipam[0]?.gateway ?? '';
  }
}
