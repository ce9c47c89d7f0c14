import type {
  IpvsConnectionFacts,
  IpvsDestinationFacts,
  IpvsEvent,
  IpvsServiceFacts,
  IpvsServiceView,
  IpvsTimeoutFacts,
} from '../events/ipvs.ts';
import { viewOrder } from './kernel-view.ts';

const AT_BOOT: IpvsTimeoutFacts = { tcp: 900, tcpfin: 120, udp: 300 };

/** Folds what IPVS did in one namespace. */
export class IpvsSlice {
  readonly connections = new Map<string, IpvsConnectionFacts>();
  readonly #services = new Map<
    string,
    { facts: IpvsServiceFacts; readonly destinations: Map<string, IpvsDestinationFacts> }
  >();
  #timeouts = AT_BOOT;

  apply(event: IpvsEvent): void {
    switch (event.type) {
      case 'ipvs.service.set': {
        const known = this.#services.get(event.service.service);
        if (known !== undefined) known.facts = event.service;
        else this.#services.set(event.service.service, { facts: event.service, destinations: new Map() });
        return;
      }
      case 'ipvs.service.removed':
        this.#services.delete(event.service);
        return;
      case 'ipvs.destination.set':
        this.#services.get(event.service)?.destinations.set(event.destination.destination, event.destination);
        return;
      case 'ipvs.destination.removed':
        this.#services.get(event.service)?.destinations.delete(event.destination);
        return;
      case 'ipvs.connection.set':
        this.connections.set(viewOrder.ipvsConnection(event.connection), event.connection);
        return;
      case 'ipvs.connection.removed':
        this.connections.delete(viewOrder.ipvsConnection(event.connection));
        return;
      case 'ipvs.timeouts.set':
        this.#timeouts = event.timeouts;
    }
  }

  services(): IpvsServiceView[] {
    return [...this.#services.values()].map(({ facts, destinations }) => ({
      ...facts,
      destinations: [...destinations.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1)),
    }));
  }

  /** None where they are those of boot. */
  timeouts(): IpvsTimeoutFacts[] {
    const { tcp, tcpfin, udp } = this.#timeouts;
    return tcp === AT_BOOT.tcp && tcpfin === AT_BOOT.tcpfin && udp === AT_BOOT.udp ? [] : [this.#timeouts];
  }
}
