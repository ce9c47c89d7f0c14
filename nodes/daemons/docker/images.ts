import { DockerError } from './error.ts';

/** What an image brings: ports that its Dockerfile exposes, and what it runs. */
export interface Image {
  readonly exposed: readonly string[];
  /** ENTRYPOINT: goes before what is given on the command line. */
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  /**
   * 'server': the command is a server, and listens on the TCP ports exposed; 'dns': it is dnsmasq; 'tools': a shell and its
   * programs.
   */
  readonly role: 'server' | 'dns' | 'tools';
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function server(
  exposed: readonly string[],
  cmd: readonly string[],
  entrypoint: readonly string[] = [],
): Image {
  return { exposed, cmd, entrypoint, env: [PATH], role: 'server' };
}

function tools(cmd: string): Image {
  return { exposed: [], cmd: [cmd], entrypoint: [], env: [PATH], role: 'tools' };
}

const ENTRY = ['docker-entrypoint.sh'];

/** The images there are to run: well-known ones, by repository. What they serve is an emulation. */
const IMAGES: ReadonlyMap<string, Image> = new Map([
  ['tomcat', server(['8080/tcp'], ['catalina.sh', 'run'])],
  ['nginx', server(['80/tcp'], ['nginx', '-g', 'daemon off;'], ['/docker-entrypoint.sh'])],
  ['httpd', server(['80/tcp'], ['httpd-foreground'])],
  ['traefik/whoami', server(['80/tcp'], [], ['/whoami'])],
  ['containous/whoami', server(['80/tcp'], [], ['/whoami'])],
  ['redis', server(['6379/tcp'], ['redis-server'], ENTRY)],
  ['mysql', server(['3306/tcp', '33060/tcp'], ['mysqld'], ENTRY)],
  ['mariadb', server(['3306/tcp'], ['mysqld'], ENTRY)],
  ['postgres', server(['5432/tcp'], ['postgres'], ENTRY)],
  ['mongo', server(['27017/tcp'], ['mongod'], ENTRY)],
  ['memcached', server(['11211/tcp'], ['memcached'], ENTRY)],
  ['registry', server(['5000/tcp'], ['/etc/docker/registry/config.yml'], ['/entrypoint.sh'])],
  ['andyshinn/dnsmasq', { ...server(['53/tcp', '53/udp'], [], ['dnsmasq', '-k']), role: 'dns' }],
  ['busybox', tools('sh')],
  ['alpine', tools('/bin/sh')],
  ['centos', tools('/bin/bash')],
  ['debian', tools('bash')],
  ['ubuntu', tools('bash')],
  ['fedora', tools('/bin/bash')],
  ['nicolaka/netshoot', tools('zsh')],
  ['praqma/network-multitool', tools('/bin/bash')],
]);

/** `tomcat`, `library/tomcat:9`, `docker.io/library/tomcat@sha256:…` all are the repository `tomcat`. */
function repository(ref: string): string {
  const [untagged = ''] = ref.split('@');
  const slash = untagged.lastIndexOf('/');
  const colon = untagged.indexOf(':', slash + 1);
  const name = colon < 0 ? untagged : untagged.slice(0, colon);
  return name.replace(/^docker\.io\//, '').replace(/^library\//, '');
}

/** An image by what `docker run` calls it. @throws DockerError as a pull of what is not there ends */
export function findImage(ref: string): Image {
  const name = repository(ref);
  const image = IMAGES.get(name);
  if (image !== undefined) return image;
  throw new DockerError(
    `pull access denied for ${name}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
  );
}

/** As the client tells it before it pulls: with a tag. */
export function taggedName(ref: string): string {
  return /[:@][^/]*$/.test(ref) ? ref : `${ref}:latest`;
}
