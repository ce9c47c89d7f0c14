import type { DockerIngressPort, DockerPortBinding } from '../../../events/docker.ts';
import { DockerError } from '../error.ts';

/** Runs iptables(8) in the node's namespace with these arguments. */
export type Iptables = (words: readonly string[]) => { readonly code: number; readonly stderr: string };

/** A bridge network as its rules see it. */
export interface BridgeRules {
  readonly bridge: string;
  /** `172.17.0.0/16` */
  readonly subnet: string;
  readonly internal: boolean;
  /** `com.docker.network.bridge.enable_ip_masquerade` */
  readonly masquerade: boolean;
  /** `com.docker.network.bridge.enable_icc` */
  readonly icc: boolean;
}

/** Chain of the ports that every node of a swarm has. */
const INGRESS = 'DOCKER-INGRESS';

interface Rule {
  readonly table: 'filter' | 'nat';
  readonly chain: string;
  readonly spec: string;
}

/** The rules that dockerd 20.10 keeps (libnetwork/drivers/bridge/setup_ip_tables.go, iptables/iptables.go). */
export class Firewall {
  readonly #iptables: Iptables;
  readonly #userlandProxy: boolean;
  /** Whether the chains of the routing mesh are there. */
  #ingress = false;

  constructor(iptables: Iptables, userlandProxy: boolean) {
    this.#iptables = iptables;
    this.#userlandProxy = userlandProxy;
  }

  /** The chains there are before any network. */
  start(): void {
    this.#line('filter', '-P FORWARD DROP');
    this.#line('nat', '-N DOCKER');
    for (const chain of ['DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2'])
      this.#line('filter', `-N ${chain}`);
    this.#line('filter', '-A DOCKER-ISOLATION-STAGE-1 -j RETURN');
    this.#line('filter', '-A DOCKER-ISOLATION-STAGE-2 -j RETURN');
    this.#line('nat', '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER');
    // Without a proxy the host's own loopback has to be translated as well.
    const notLoopback = this.#userlandProxy ? '! -d 127.0.0.0/8 ' : '';
    this.#line('nat', `-A OUTPUT ${notLoopback}-m addrtype --dst-type LOCAL -j DOCKER`);
    this.#line('filter', '-I FORWARD -j DOCKER-ISOLATION-STAGE-1');
    this.#line('filter', '-N DOCKER-USER');
    this.#line('filter', '-A DOCKER-USER -j RETURN');
    this.#line('filter', '-I FORWARD -j DOCKER-USER');
  }

  addBridge(rules: BridgeRules): void {
    for (const rule of this.#natRules(rules)) this.#insert(rule);
    for (const rule of this.#forwardRules(rules)) this.#insert(rule);
    for (const rule of this.#isolationRules(rules)) this.#insert(rule);
    // `arrangeUserFilterRule`, `arrangeIngressFilterRule`: the user's chain stays first, the isolation last.
    this.#first('DOCKER-ISOLATION-STAGE-1');
    if (this.#ingress) this.#first(INGRESS);
    this.#first('DOCKER-USER');
  }

  /** The chains of the routing mesh; `bridge` leads to the ingress sandbox. */
  startIngress(bridge: string): void {
    if (this.#ingress) return;
    this.#ingress = true;
    this.#line('nat', `-N ${INGRESS}`);
    this.#line('filter', `-N ${INGRESS}`);
    this.#line('nat', `-A ${INGRESS} -j RETURN`);
    this.#line('filter', `-A ${INGRESS} -j RETURN`);
    for (const chain of ['OUTPUT', 'PREROUTING'])
      this.#line('nat', `-I ${chain} -m addrtype --dst-type LOCAL -j ${INGRESS}`);
    this.#line('filter', `-I FORWARD -j ${INGRESS}`);
    this.#first('DOCKER-USER');
    this.#line('nat', `-I POSTROUTING -m addrtype --src-type LOCAL -o ${bridge} -j MASQUERADE`);
  }

  publishIngress(port: DockerIngressPort, gateway: string): void {
    for (const rule of this.#ingressRules(port, gateway)) this.#insert(rule);
  }

  unpublishIngress(port: DockerIngressPort, gateway: string): void {
    for (const rule of this.#ingressRules(port, gateway)) this.#delete(rule);
  }

  removeBridge(rules: BridgeRules): void {
    for (const rule of [
      ...this.#natRules(rules),
      ...this.#forwardRules(rules),
      ...this.#isolationRules(rules),
    ])
      this.#delete(rule);
  }

  publish(bridge: string, address: string, ports: readonly DockerPortBinding[]): void {
    for (const port of ports) for (const rule of this.#portRules(bridge, address, port)) this.#append(rule);
  }

  unpublish(bridge: string, address: string, ports: readonly DockerPortBinding[]): void {
    for (const port of ports) for (const rule of this.#portRules(bridge, address, port)) this.#delete(rule);
  }

  /** --link where icc=false: the exposed ports of the one are open to the other. */
  link(
    bridge: string,
    parent: string,
    child: string,
    exposed: readonly string[],
    change: 'add' | 'remove',
  ): void {
    for (const port of exposed) {
      const [number = '', proto = 'tcp'] = port.split('/');
      const rules: readonly Rule[] = [
        {
          table: 'filter',
          chain: 'DOCKER',
          spec: `-i ${bridge} -o ${bridge} -p ${proto} -s ${parent} --dport ${number} -d ${child} -j ACCEPT`,
        },
        {
          table: 'filter',
          chain: 'DOCKER',
          spec: `-i ${bridge} -o ${bridge} -p ${proto} -s ${child} --sport ${number} -d ${parent} -j ACCEPT`,
        },
      ];
      for (const rule of rules) {
        if (change === 'add') this.#append(rule);
        else this.#delete(rule);
      }
    }
  }

  /** In the order in which each is inserted at the top of its chain. */
  #natRules({ bridge, subnet, internal, masquerade }: BridgeRules): Rule[] {
    if (internal) return [];
    const rules: Rule[] = [];
    if (masquerade)
      rules.push({ table: 'nat', chain: 'POSTROUTING', spec: `-s ${subnet} ! -o ${bridge} -j MASQUERADE` });
    // `hairpin mode`: without the proxy a container reaches its own published port by the bridge.
    if (this.#userlandProxy) rules.push({ table: 'nat', chain: 'DOCKER', spec: `-i ${bridge} -j RETURN` });
    else if (masquerade)
      rules.push({
        table: 'nat',
        chain: 'POSTROUTING',
        spec: `-m addrtype --src-type LOCAL -o ${bridge} -j MASQUERADE`,
      });
    return rules;
  }

  #forwardRules({ bridge, internal, icc }: BridgeRules): Rule[] {
    const forward = (spec: string): Rule => ({ table: 'filter', chain: 'FORWARD', spec });
    const between = forward(`-i ${bridge} -o ${bridge} -j ${icc ? 'ACCEPT' : 'DROP'}`);
    if (internal) return [between];
    return [
      between,
      forward(`-i ${bridge} ! -o ${bridge} -j ACCEPT`),
      forward(`-o ${bridge} -j DOCKER`),
      forward(`-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`),
    ];
  }

  #isolationRules({ bridge, subnet, internal }: BridgeRules): Rule[] {
    const stage1 = 'DOCKER-ISOLATION-STAGE-1';
    if (internal)
      return [
        { table: 'filter', chain: stage1, spec: `! -s ${subnet} -o ${bridge} -j DROP` },
        { table: 'filter', chain: stage1, spec: `! -d ${subnet} -i ${bridge} -j DROP` },
      ];
    return [
      { table: 'filter', chain: stage1, spec: `-i ${bridge} ! -o ${bridge} -j DOCKER-ISOLATION-STAGE-2` },
      { table: 'filter', chain: 'DOCKER-ISOLATION-STAGE-2', spec: `-o ${bridge} -j DROP` },
    ];
  }

  #ingressRules({ proto, published }: DockerIngressPort, gateway: string): Rule[] {
    return [
      {
        table: 'nat',
        chain: INGRESS,
        spec: `-p ${proto} --dport ${published} -j DNAT --to-destination ${gateway}:${published}`,
      },
      {
        table: 'filter',
        chain: INGRESS,
        spec: `-m state -p ${proto} --sport ${published} --state ESTABLISHED,RELATED -j ACCEPT`,
      },
      { table: 'filter', chain: INGRESS, spec: `-p ${proto} --dport ${published} -j ACCEPT` },
    ];
  }

  #portRules(bridge: string, address: string, { port, proto, hostIp, hostPort }: DockerPortBinding): Rule[] {
    const destination = hostIp === '0.0.0.0' ? '' : `-d ${hostIp} `;
    const notBridge = this.#userlandProxy ? `! -i ${bridge} ` : '';
    return [
      {
        table: 'nat',
        chain: 'DOCKER',
        spec: `-p ${proto} ${destination}--dport ${hostPort} ${notBridge}-j DNAT --to-destination ${address}:${port}`,
      },
      {
        table: 'filter',
        chain: 'DOCKER',
        spec: `! -i ${bridge} -o ${bridge} -p ${proto} -d ${address} --dport ${port} -j ACCEPT`,
      },
      {
        table: 'nat',
        chain: 'POSTROUTING',
        spec: `-p ${proto} -s ${address} -d ${address} --dport ${port} -j MASQUERADE`,
      },
    ];
  }

  #first(chain: string): void {
    this.#line('filter', `-D FORWARD -j ${chain}`);
    this.#line('filter', `-I FORWARD -j ${chain}`);
  }

  #insert({ table, chain, spec }: Rule): void {
    this.#line(table, `-I ${chain} ${spec}`);
  }

  #append({ table, chain, spec }: Rule): void {
    this.#line(table, `-A ${chain} ${spec}`);
  }

  #delete({ table, chain, spec }: Rule): void {
    this.#line(table, `-D ${chain} ${spec}`);
  }

  /** @throws DockerError if iptables refuses it; what is to be deleted may have gone by itself */
  #line(table: string, text: string): void {
    const words = ['-t', table, ...text.split(' ')];
    const { code, stderr } = this.#iptables(words);
    if (code === 0 || text.startsWith('-D ')) return;
    throw new DockerError(
      `(iptables failed: iptables --wait ${words.join(' ')}: ${stderr.trim()}\n (exit status ${code}))`,
    );
  }
}
