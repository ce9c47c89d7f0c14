import type { LinkFacts, LinkKind } from '../../events/kernel.ts';

interface KindTraits {
  /** Flags that the kind of device has for good. */
  readonly flags: readonly string[];
  /** ARPHRD_* as iproute2 names it. */
  readonly linkType: 'loopback' | 'ether' | 'none' | 'ipip' | 'gre' | 'sit' | 'tunnel6' | 'gre6';
  readonly qdisc: 'noqueue' | 'pfifo_fast';
  /** 0: not shown. CNI plug-ins and dockerd make their devices without a queue. */
  readonly txqlen: number;
  /** Whether the driver reports an operational state; others are UNKNOWN while up. */
  readonly operstate: 'reported' | 'unknown';
}

const ethernet = { flags: ['BROADCAST', 'MULTICAST'], linkType: 'ether' } as const;

const traits: Readonly<Record<LinkKind, KindTraits>> = {
  loopback: {
    flags: ['LOOPBACK'],
    linkType: 'loopback',
    qdisc: 'noqueue',
    txqlen: 1000,
    operstate: 'unknown',
  },
  ether: { ...ethernet, qdisc: 'pfifo_fast', txqlen: 1000, operstate: 'reported' },
  veth: { ...ethernet, qdisc: 'noqueue', txqlen: 0, operstate: 'reported' },
  bridge: { ...ethernet, qdisc: 'noqueue', txqlen: 0, operstate: 'reported' },
  vlan: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'reported' },
  macvlan: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'reported' },
  ipvlan: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  vxlan: { ...ethernet, qdisc: 'noqueue', txqlen: 0, operstate: 'unknown' },
  tun: {
    flags: ['POINTOPOINT', 'MULTICAST', 'NOARP'],
    linkType: 'none',
    qdisc: 'pfifo_fast',
    txqlen: 500,
    operstate: 'unknown',
  },
  dummy: {
    flags: ['BROADCAST', 'NOARP'],
    linkType: 'ether',
    qdisc: 'noqueue',
    txqlen: 1000,
    operstate: 'unknown',
  },
  gre: { flags: ['NOARP'], linkType: 'gre', qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  gretap: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  wireguard: {
    flags: ['POINTOPOINT', 'NOARP'],
    linkType: 'none',
    qdisc: 'noqueue',
    txqlen: 1000,
    operstate: 'unknown',
  },
  openvswitch: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  sit: { flags: ['NOARP'], linkType: 'sit', qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  ip6tnl: { flags: ['NOARP'], linkType: 'tunnel6', qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  ip6gre: { flags: ['NOARP'], linkType: 'gre6', qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  ip6gretap: { ...ethernet, qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
  ipip: { flags: ['NOARP'], linkType: 'ipip', qdisc: 'noqueue', txqlen: 1000, operstate: 'unknown' },
};

/** The queueing discipline that a device of the kind has at its root when nobody has set one. */
export function defaultQdisc(kind: LinkKind): KindTraits['qdisc'] {
  return traits[kind].qdisc;
}

/** Link-layer address and broadcast address as iproute2 shows them, null for a device that has no link layer. */
interface LinkLayer {
  readonly address: string;
  readonly broadcast: string;
}

type Operstate = 'UP' | 'DOWN' | 'LOWERLAYERDOWN' | 'UNKNOWN';

/** What iproute2 derives for a link from the others of its namespace: its peer's name, flags, namespace id. */
export class LinkNames {
  readonly #ns: string;
  readonly #byIndex = new Map<number, LinkFacts>();
  readonly #netnsids = new Map<string, number>();
  readonly #netem: ReadonlySet<string>;

  /** All links of the namespace `ns`, in any order; `netem`: names of those that have it at their root. */
  constructor(links: readonly LinkFacts[], ns: string, netem: ReadonlySet<string> = new Set()) {
    this.#ns = ns;
    this.#netem = netem;
    for (const link of [...links].sort((a, b) => a.ifindex - b.ifindex)) {
      this.#byIndex.set(link.ifindex, link);
      // The kernel numbers other namespaces from 0 as links to them appear.
      if (this.#peerIsElsewhere(link) && !this.#netnsids.has(link.peerNs))
        this.#netnsids.set(link.peerNs, this.#netnsids.size);
    }
  }

  traits(link: LinkFacts): KindTraits {
    return traits[link.kind];
  }

  /** Kind of its root queueing discipline. */
  qdisc(link: LinkFacts): string {
    return this.#netem.has(link.name) ? 'netem' : defaultQdisc(link.kind);
  }

  /** `eth0@if15`, `veth1@veth2`, `lo`. */
  name(link: LinkFacts): string {
    const linked = this.linked(link);
    return linked === '' ? link.name : `${link.name}@${linked}`;
  }

  /** What stands after the `@`: the peer's name, its index where that is elsewhere; '' for a device of its own. */
  linked(link: LinkFacts): string {
    if (isTunnel(link)) return 'NONE';
    return link.peerIfindex === 0 ? '' : (this.peer(link)?.name ?? `if${link.peerIfindex}`);
  }

  /** The veth peer, if it is in the same namespace. */
  peer(link: LinkFacts): LinkFacts | undefined {
    return link.peerIfindex === 0 || this.#peerIsElsewhere(link)
      ? undefined
      : this.#byIndex.get(link.peerIfindex);
  }

  /** Id of the namespace that the peer is in, null if it is this one or there is no peer. */
  netnsid(link: LinkFacts): number | null {
    return this.#peerIsElsewhere(link) ? (this.#netnsids.get(link.peerNs) ?? null) : null;
  }

  /** Flags in the order of ipaddress.c's print_link_flags. */
  flags(link: LinkFacts): string[] {
    const flags: string[] = [];
    if (link.up && !link.carrier) flags.push('NO-CARRIER');
    if (isPointToPoint(link)) flags.push('POINTOPOINT');
    flags.push(...this.traits(link).flags);
    if (link.noArp === true) flags.push('NOARP');
    if (link.up) flags.push('UP');
    if (link.up && link.carrier) flags.push('LOWER_UP');
    if (this.peer(link)?.up === false) flags.push('M-DOWN');
    return flags;
  }

  /** RFC 2863 operational state, as Linux' `default_operstate` sets it. */
  operstate(link: LinkFacts): Operstate {
    if (!link.up) return 'DOWN';
    if (!link.carrier) return this.peer(link) === undefined ? 'DOWN' : 'LOWERLAYERDOWN';
    return (link.operstate ?? this.traits(link).operstate) === 'reported' ? 'UP' : 'UNKNOWN';
  }

  linkLayer(link: LinkFacts): LinkLayer | null {
    switch (this.traits(link).linkType) {
      case 'none':
        return null;
      case 'ipip':
      case 'gre':
      case 'sit':
        return tunnelLayer(link, '0.0.0.0');
      case 'tunnel6':
      case 'gre6':
        return tunnelLayer(link, '::');
      case 'loopback':
        return { address: '00:00:00:00:00:00', broadcast: '00:00:00:00:00:00' };
      case 'ether':
        return { address: link.mac, broadcast: 'ff:ff:ff:ff:ff:ff' };
    }
  }

  #peerIsElsewhere(link: LinkFacts): boolean {
    return link.peerIfindex !== 0 && link.peerNs !== this.#ns;
  }
}

/** A tunnel device, which has no device below it: `tunl0@NONE`. */
export function isTunnel({ kind }: LinkFacts): boolean {
  return TUNNELS.has(kind);
}

const TUNNELS: ReadonlySet<LinkKind> = new Set([
  ...(['ipip', 'gre', 'gretap', 'sit', 'ip6tnl', 'ip6gre', 'ip6gretap'] as const),
]);

/** A tunnel of packets over IPv4 is where it has a remote end, one over IPv6 where it has both. */
function isPointToPoint(link: LinkFacts): boolean {
  const { linkType } = traits[link.kind];
  const ends = tunnelEnds(link);
  if (linkType === 'ether' || ends === null || ends.remote === '') return false;
  return ends.local !== '' || (linkType !== 'tunnel6' && linkType !== 'gre6');
}

function tunnelLayer(link: LinkFacts, unspecified: string): LinkLayer {
  const { local, remote } = tunnelEnds(link) ?? { local: '', remote: '' };
  return { address: local === '' ? unspecified : local, broadcast: remote === '' ? unspecified : remote };
}

/** Addresses of a tunnel's ends, '' for any. */
function tunnelEnds(link: LinkFacts): { readonly local: string; readonly remote: string } | null {
  if (!isTunnel(link)) return null;
  const [, remote = '', local = ''] = /remote (\S+) local (\S+)/.exec(link.detail) ?? [];
  const known = (text: string) => (text === 'any' ? '' : text);
  return { local: known(local), remote: known(remote) };
}
