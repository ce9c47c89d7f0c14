import { imageName, imageOf } from '../workload/images.ts';
import { DockerError } from './error.ts';

/** What an image brings: ports that its Dockerfile exposes, and what it runs. */
export interface DockerImage {
  /** `8080/tcp` */
  readonly exposed: readonly string[];
  /** ENTRYPOINT: goes before what is given on the command line. */
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: readonly string[];
  /** 'server': the command is the server that the image is there for; 'dns': it is dnsmasq; 'tools': a shell and its programs. */
  readonly role: 'server' | 'dns' | 'tools';
}

interface Command {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly role: DockerImage['role'];
}

const ENV = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

function server(cmd: string, entrypoint = ''): Command {
  return { cmd: wordsOf(cmd), entrypoint: wordsOf(entrypoint), role: 'server' };
}

function tools(cmd: string): Command {
  return { cmd: [cmd], entrypoint: [], role: 'tools' };
}

function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}

const DNSMASQ: Command = { cmd: [], entrypoint: ['dnsmasq', '-k'], role: 'dns' };

/** What the well-known images run, by the last part of their repository; their servers are emulations. */
const COMMANDS: Readonly<Record<string, Command>> = {
  tomcat: server('catalina.sh run'),
  nginx: { ...server('', '/docker-entrypoint.sh'), cmd: ['nginx', '-g', 'daemon off;'] },
  httpd: server('httpd-foreground'),
  caddy: server('caddy run --config /etc/caddy/Caddyfile --adapter caddyfile'),
  traefik: server('traefik', '/entrypoint.sh'),
  whoami: server('', '/whoami'),
  hello: server('nginx'),
  'hello-app': server('./hello-app'),
  'http-echo': server('', '/http-echo'),
  echoserver: server('nginx'),
  'echo-server': server('/bin/echo-server'),
  agnhost: server('pause', '/agnhost'),
  jetty: server('java -jar /usr/local/jetty/start.jar', '/docker-entrypoint.sh'),
  jenkins: server('', '/usr/bin/tini -- /usr/local/bin/jenkins.sh'),
  registry: server('/etc/docker/registry/config.yml', '/entrypoint.sh'),
  elasticsearch: server('eswrapper', '/bin/tini -- /usr/local/bin/docker-entrypoint.sh'),
  grafana: server('', '/run.sh'),
  prometheus: server('--config.file=/etc/prometheus/prometheus.yml', '/bin/prometheus'),
  wordpress: server('apache2-foreground', 'docker-entrypoint.sh'),
  redis: server('redis-server', 'docker-entrypoint.sh'),
  memcached: server('memcached', 'docker-entrypoint.sh'),
  mysql: server('mysqld', 'docker-entrypoint.sh'),
  mariadb: server('mysqld', 'docker-entrypoint.sh'),
  postgres: server('postgres', 'docker-entrypoint.sh'),
  mongo: server('mongod', 'docker-entrypoint.sh'),
  rabbitmq: server('rabbitmq-server', 'docker-entrypoint.sh'),
  zookeeper: server('zkServer.sh start-foreground', '/docker-entrypoint.sh'),
  pause: server('', '/pause'),
  dnsmasq: DNSMASQ,
  busybox: tools('sh'),
  alpine: tools('/bin/sh'),
  ubuntu: tools('bash'),
  debian: tools('bash'),
  centos: tools('/bin/bash'),
  rockylinux: tools('/bin/bash'),
  fedora: tools('/bin/bash'),
  netshoot: tools('zsh'),
  'network-multitool': tools('/bin/bash'),
};

/** An image by what `docker run` calls it. @throws DockerError as a pull of what is not there ends */
export function findImage(reference: string): DockerImage {
  const name = imageName(reference);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined)
    throw new DockerError(
      `pull access denied for ${reference.replace(/[:@][^/]*$/, '')}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
    );
  const exposed = imageOf(reference).exposed.map(({ port, protocol }) => `${port}/${protocol}`);
  return { ...command, exposed: command.role === 'dns' ? ['53/tcp', '53/udp'] : exposed, env: ENV };
}

/** As the client tells it before it pulls: with a tag. */
export function taggedName(reference: string): string {
  return /[:@][^/]*$/.test(reference) ? reference : `${reference}:latest`;
}
