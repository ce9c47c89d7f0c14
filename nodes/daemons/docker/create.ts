import type {
  DockerContainerFacts,
  DockerEndpointFacts,
  DockerPortBinding,
  DockerRestartPolicy,
  DockerServiceFacts,
} from '../../events/docker.ts';
import type { Runtime } from '../../runtime.ts';
import { randomHex } from '../random-names.ts';
import { DockerError } from './error.ts';
import { findImage } from './images.ts';
import type { DockerLedger } from './ledger.ts';
import { randomName } from './names.ts';
import { macOf } from './network/networks.ts';

/** What `docker create` asks for. */
export interface CreateSpec {
  /** '' for one to be made up. */
  readonly name: string;
  readonly image: string;
  /** '' for the image's own. */
  readonly entrypoint: string | null;
  readonly command: readonly string[];
  readonly hostname: string;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly tty: boolean;
  readonly openStdin: boolean;
  readonly expose: readonly string[];
  readonly publish: readonly DockerPortBinding[];
  readonly publishAll: boolean;
  readonly networkMode: string;
  readonly ip: string;
  readonly macAddress: string;
  /** `container` or `container:alias` */
  readonly links: readonly string[];
  readonly aliases: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly extraHosts: readonly string[];
  readonly restart: DockerRestartPolicy;
  readonly autoRemove: boolean;
  /** Networks that it is to be in beside that of its mode, and what of its places in them. */
  readonly endpoints?: readonly DockerEndpointFacts[];
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Name of the network that `default` stands for. */
export const DEFAULT_NETWORK = 'bridge';

/** Whether a network mode is the name of a network that somebody has made (`NetworkMode.IsUserDefined`). */
export function isUserDefined(mode: string): boolean {
  return !['default', 'bridge', 'host', 'none'].includes(mode) && !mode.startsWith('container:');
}

export function networkName(mode: string): string {
  return mode === 'default' ? DEFAULT_NETWORK : mode;
}

/** @throws DockerError for a name that is none, or somebody's */
export function checkName(ledger: DockerLedger, wanted: string): void {
  if (!NAME.test(wanted))
    throw new DockerError(`Invalid container name (${wanted}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  const namesake = ledger.containers.find(({ name }) => name === wanted);
  if (namesake !== undefined)
    throw new DockerError(
      `Conflict. The container name "/${wanted}" is already in use by container "${namesake.id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
}

/** Writes a new container's record. @throws DockerError */
export function createContainer(
  rt: Runtime,
  ledger: DockerLedger,
  spec: CreateSpec,
  node: string,
): DockerContainerFacts {
  const image = findImage(spec.image);
  if (spec.restart.name !== 'no' && spec.autoRemove)
    throw new DockerError("can't create 'AutoRemove' container with restart policy");
  if (spec.name !== '') checkName(ledger, spec.name);
  macOf(spec.macAddress);
  const mode = resolveMode(ledger, spec.networkMode);
  checkMode(spec, mode);
  const id = randomHex(rt.random, 64);
  const name =
    spec.name === ''
      ? randomName(rt.random, (it) => ledger.containers.some((other) => other.name === it))
      : spec.name;
  const links =
    mode === 'default' || mode === 'bridge' ? spec.links.map((link) => resolveLink(ledger, link)) : [];
  const entrypoint =
    spec.entrypoint === null ? image.entrypoint : spec.entrypoint === '' ? [] : [spec.entrypoint];
  const cmd = spec.command.length > 0 || spec.entrypoint !== null ? spec.command : image.cmd;
  const command = [...entrypoint, ...cmd];
  if (command.length === 0) throw new DockerError('No command specified');
  return ledger.putContainer({
    id,
    name,
    naming: spec.name === '' ? 'generated' : 'given',
    // No two at one moment: `docker ps` goes by it.
    created: Math.max(rt.now, ...ledger.containers.map((other) => other.created + 0.001)),
    image: spec.image,
    command,
    hostname: spec.hostname !== '' ? spec.hostname : mode === 'host' ? node : id.slice(0, 12),
    env: [...spec.env, ...image.env],
    labels: spec.labels,
    tty: spec.tty,
    openStdin: spec.openStdin,
    exposed: [
      ...new Set([
        ...spec.publish.map(({ port, proto }) => `${port}/${proto}`),
        ...spec.expose,
        ...image.exposed,
      ]),
    ].sort(),
    networkMode: mode,
    portBindings: spec.publish,
    publishAll: spec.publishAll,
    links,
    dns: spec.dns,
    dnsSearch: spec.dnsSearch,
    dnsOptions: spec.dnsOptions,
    extraHosts: spec.extraHosts,
    restart: spec.restart,
    autoRemove: spec.autoRemove,
    macAddress: spec.macAddress,
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      error: '',
      startedAt: null,
      finishedAt: null,
      restartCount: 0,
      stoppedByHand: false,
    },
    sandboxId: '',
    endpoints: mode.startsWith('container:')
      ? []
      : (spec.endpoints ?? [
          unjoined(networkName(mode), {
            ip: spec.ip,
            aliases: spec.aliases,
            links: isUserDefined(mode) ? spec.links : [],
          }),
        ]),
    published: [],
  });
}

/** What somebody asks for a container's place in a network. */
export interface WantedEndpoint {
  /** '' for any. */
  readonly ip: string;
  readonly aliases: readonly string[];
  /** `container` or `container:alias` */
  readonly links: readonly string[];
  /** Of a task. */
  readonly service?: DockerServiceFacts;
}

/** A place in a network that a container will take when it runs. */
export function unjoined(network: string, wanted: WantedEndpoint): DockerEndpointFacts {
  return {
    network,
    networkId: '',
    requestedIp: wanted.ip,
    aliases: wanted.aliases,
    links: wanted.links.map((link) => (link.includes(':') ? link : `${link}:${link}`)),
    endpointId: '',
    address: '',
    gateway: '',
    mac: '',
    ifname: '',
    ...(wanted.service === undefined ? {} : { service: wanted.service }),
  };
}

/** `container:NAME` is kept by id. */
function resolveMode(ledger: DockerLedger, mode: string): string {
  if (!mode.startsWith('container:')) return mode === '' ? 'default' : mode;
  const ref = mode.slice('container:'.length);
  if (ref === '') throw new DockerError('Invalid network mode: invalid container format container:<name|id>');
  return `container:${ledger.container(ref).id}`;
}

function checkMode(spec: CreateSpec, mode: string): void {
  const fails = (what: string) => {
    throw new DockerError(`conflicting options: ${what}`);
  };
  if (mode === 'host' && spec.links.length > 0)
    fails("host type networking can't be used with links. This would result in undefined behavior");
  if (mode.startsWith('container:')) {
    if (spec.hostname !== '') fails('hostname and the network mode');
    if (spec.links.length > 0)
      fails("container type network can't be used with links. This would result in undefined behavior");
    if (spec.dns.length > 0) fails('dns and the network mode');
    if (spec.extraHosts.length > 0) fails('custom host-to-IP mapping and the network mode');
    if (spec.macAddress !== '') fails('mac-address and the network mode');
    if (spec.publish.length > 0 || spec.publishAll)
      fails('port publishing and the container type network mode');
    if (spec.expose.length > 0) fails('port exposing and the container type network mode');
  }
  if (isUserDefined(mode)) return;
  if (spec.ip !== '')
    throw new DockerError('user specified IP address is supported on user defined networks only');
  if (spec.aliases.length > 0)
    throw new DockerError('network-scoped alias is supported only for containers in user defined networks');
}

/** `id:alias` of a link to a container that is there. */
function resolveLink(ledger: DockerLedger, link: string): string {
  const [ref = '', alias = ref] = link.split(':');
  try {
    const target = ledger.container(ref);
    if (target.networkMode === 'host')
      throw new DockerError(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    return `${target.id}:${alias.slice(alias.lastIndexOf('/') + 1)}`;
  } catch (error) {
    if (error instanceof DockerError && error.message.startsWith('No such container'))
      throw new DockerError(`could not get container for ${ref}: ${error.message}`);
    throw error;
  }
}
