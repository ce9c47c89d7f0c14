/** Events of IPsec (`ip xfrm`). Keys are in no event: a log says of what kind and how long they are. */

export type XfrmMode = 'transport' | 'tunnel';
export type XfrmDirection = 'in' | 'out' | 'fwd';

/** A security association. With its destination and SPI it has a name; its counters are no part of it. */
export interface XfrmStateFacts {
  readonly src: string;
  readonly dst: string;
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  /** Packets that may come late, 0: none is looked at. */
  readonly replayWindow: number;
  /** `rfc4106(gcm(aes))`, `cbc(aes)` */
  readonly cipher: string;
  /** Bits of the key, the salt of AES-GCM not among them. */
  readonly keyBits: number;
  /** `hmac(sha256)`; '' with AES-GCM. */
  readonly auth: string;
  /** Bits of the integrity check value. */
  readonly icvBits: number;
  /** Sequence numbers of 64 bits. */
  readonly esn?: 'on';
  /** Packets of both families go through its tunnel. */
  readonly inner?: 'any';
  /** `espinudp 4500 4500 0.0.0.0`: source and destination port, original address. */
  readonly encap?: string;
  /** Those that there are: bytes, packets, seconds. */
  readonly limits?: Readonly<Record<string, number>>;
}

/** How a policy wants a packet transformed. */
export interface XfrmTemplateFacts {
  /** `0.0.0.0`: any, or the packet's own in transport mode. */
  readonly src: string;
  readonly dst: string;
  /** 0: any. */
  readonly spi: number;
  readonly reqid: number;
  readonly mode: XfrmMode;
  readonly level: 'required' | 'use';
}

export interface XfrmPolicyFacts {
  readonly dir: XfrmDirection;
  /** Prefixes. */
  readonly src: string;
  readonly dst: string;
  /** Number of the protocol, 0: any. */
  readonly proto: number;
  /** Ports, or type and code of ICMP; absent: any. */
  readonly sport?: number;
  readonly dport?: number;
  readonly action: 'allow' | 'block';
  /** The lowest is asked first. */
  readonly priority: number;
  readonly templates: readonly XfrmTemplateFacts[];
  /** Those that there are: bytes, packets, seconds. */
  readonly limits?: Readonly<Record<string, number>>;
}

export type XfrmEvent =
  | { readonly type: 'xfrm.state.set'; readonly ns: string; readonly state: XfrmStateFacts }
  | { readonly type: 'xfrm.state.removed'; readonly ns: string; readonly dst: string; readonly spi: number }
  | { readonly type: 'xfrm.policy.set'; readonly ns: string; readonly policy: XfrmPolicyFacts }
  | ({ readonly type: 'xfrm.policy.removed'; readonly ns: string } & Pick<
      XfrmPolicyFacts,
      'dir' | 'src' | 'dst' | 'proto' | 'sport' | 'dport'
    >)
  /** An association has come to a limit; at a hard one it is gone. */
  | {
      readonly type: 'xfrm.state.expired';
      readonly ns: string;
      readonly dst: string;
      readonly spi: number;
      readonly limit: 'soft' | 'hard';
    };
