/** What a port of a workload does with who connects. */
export type Service = 'http' | 'echo';

export interface Port {
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

export interface ImagePort extends Port {
  readonly service: Service;
}

export interface Image {
  /** `EXPOSE` of the image's Dockerfile: what `docker run -P` publishes. */
  readonly exposed: readonly Port[];
  /** What its process listens on. */
  readonly listens: readonly ImagePort[];
}

const http = (port: number): ImagePort => ({ port, protocol: 'tcp', service: 'http' });
const echo = (port: number, protocol: 'tcp' | 'udp' = 'tcp'): ImagePort => ({
  port,
  protocol,
  service: 'echo',
});

/** An image that listens on what it exposes. */
function serving(...listens: readonly ImagePort[]): Image {
  return { exposed: listens.map(({ port, protocol }) => ({ port, protocol })), listens };
}

/** An image that has a shell and no server, or whose server is not exposed. */
function bare(...listens: readonly ImagePort[]): Image {
  return { exposed: [], listens };
}

/** By the last part of the repository's name. What is no HTTP server is stood in for by an echo. */
const IMAGES: Readonly<Record<string, Image>> = {
  tomcat: serving(http(8080)),
  nginx: serving(http(80)),
  httpd: serving(http(80)),
  apache: serving(http(80)),
  caddy: serving(http(80), echo(443), echo(443, 'udp'), echo(2019)),
  traefik: serving(http(80)),
  whoami: serving(http(80)),
  hello: serving(http(80)),
  'hello-app': serving(http(8080)),
  echoserver: serving(http(8080)),
  'echo-server': serving(http(8080)),
  'http-echo': bare(http(5678)),
  agnhost: bare(http(8080), echo(8081, 'udp')),
  jetty: serving(http(8080)),
  jenkins: serving(http(8080), echo(50_000)),
  registry: serving(http(5000)),
  elasticsearch: serving(http(9200), echo(9300)),
  grafana: serving(http(3000)),
  prometheus: serving(http(9090)),
  wordpress: serving(http(80)),
  redis: serving(echo(6379)),
  memcached: serving(echo(11_211)),
  mysql: serving(echo(3306), echo(33_060)),
  mariadb: serving(echo(3306)),
  postgres: serving(echo(5432)),
  mongo: serving(echo(27_017)),
  rabbitmq: serving(echo(4369), echo(5671), echo(5672), echo(15_691), echo(15_692), echo(25_672)),
  zookeeper: serving(echo(2181), echo(2888), echo(3888), http(8080)),
  pause: bare(),
  busybox: bare(),
  alpine: bare(),
  ubuntu: bare(),
  debian: bare(),
  centos: bare(),
  fedora: bare(),
  rockylinux: bare(),
  netshoot: bare(),
  'hello-world': bare(),
};

/** `registry.k8s.io/e2e-test-images/agnhost:2.39` is `agnhost`. */
export function imageName(reference: string): string {
  const path = reference.replace(/@.*$/, '');
  return path.slice(path.lastIndexOf('/') + 1).replace(/:.*$/, '');
}

/** What is known of an image; one that is not known exposes nothing of its own. */
export function imageOf(reference: string): Image {
  const name = imageName(reference);
  return Object.hasOwn(IMAGES, name) ? IMAGES[name]! : bare();
}

/**
 * What a workload of an image listens on: what the image does, and HTTP over TCP or an echo over UDP on each port that is
 * exposed besides (`--expose`, a pod's `containerPort`).
 */
export function listensOf(reference: string, expose: readonly Port[]): readonly ImagePort[] {
  const { listens } = imageOf(reference);
  const further = expose.filter(
    ({ port, protocol }) => !listens.some((own) => own.port === port && own.protocol === protocol),
  );
  return [
    ...listens,
    ...further.map((one) => (one.protocol === 'tcp' ? http(one.port) : echo(one.port, 'udp'))),
  ];
}
