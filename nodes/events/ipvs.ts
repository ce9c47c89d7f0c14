/** How packets reach a destination, in ipvsadm's words. */
export type IpvsForward = 'Masq' | 'Route' | 'Tunnel';

/** A virtual service. */
export interface IpvsServiceFacts {
  /** `TCP 10.96.0.10:80`, `FWM 256` */
  readonly service: string;
  readonly scheduler: string;
  /** `sh-fallback`, `sh-port` */
  readonly flags?: readonly string[];
  /** Seconds that a client keeps its server for. */
  readonly persistent?: number;
  /** Of the client's address for that, where it is not 255.255.255.255. */
  readonly netmask?: string;
  /** One-packet scheduling. */
  readonly ops?: true;
}

/** A real server of a service. */
export interface IpvsDestinationFacts {
  /** `10.244.1.2:8080` */
  readonly destination: string;
  readonly forward: IpvsForward;
  readonly weight: number;
  /** Thresholds of overload, where there are any. */
  readonly upper?: number;
  readonly lower?: number;
}

/** A service with its destinations, by their text. */
export interface IpvsServiceView extends IpvsServiceFacts {
  readonly destinations: readonly IpvsDestinationFacts[];
}

/** A connection as `ipvsadm -Lnc` prints it, without the time it has left. */
export interface IpvsConnectionFacts {
  /** `TCP`, `UDP`; `IP` of a template of a service by mark. */
  readonly protocol: string;
  readonly client: string;
  readonly virtual: string;
  readonly destination: string;
  readonly state: string;
  /** A persistent service's memory of where a client goes. */
  readonly template?: true;
}

/** Seconds, as `ipvsadm --set` has them. */
export interface IpvsTimeoutFacts {
  readonly tcp: number;
  readonly tcpfin: number;
  readonly udp: number;
}

export type IpvsEvent =
  /** Added, or changed: the whole of it but the destinations. */
  | { readonly type: 'ipvs.service.set'; readonly ns: string; readonly service: IpvsServiceFacts }
  /** With its destinations. */
  | { readonly type: 'ipvs.service.removed'; readonly ns: string; readonly service: string }
  | {
      readonly type: 'ipvs.destination.set';
      readonly ns: string;
      readonly service: string;
      readonly destination: IpvsDestinationFacts;
    }
  | {
      readonly type: 'ipvs.destination.removed';
      readonly ns: string;
      readonly service: string;
      readonly destination: string;
    }
  /** Scheduled, or in another state: the whole connection now. */
  | { readonly type: 'ipvs.connection.set'; readonly ns: string; readonly connection: IpvsConnectionFacts }
  /** Its time was over, or its server went. */
  | {
      readonly type: 'ipvs.connection.removed';
      readonly ns: string;
      readonly connection: Pick<IpvsConnectionFacts, 'protocol' | 'client' | 'virtual' | 'template'>;
    }
  | { readonly type: 'ipvs.timeouts.set'; readonly ns: string; readonly timeouts: IpvsTimeoutFacts };
