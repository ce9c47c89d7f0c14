import type { NetemParameters } from '../../protocols/netem/parameters.ts';
import type { Cut, CutFacts, QdiscFacts } from '../events/kernel.ts';
import { PortDevice } from './device.ts';
import { NetemQdisc } from './netem.ts';
import { NetlinkError } from './netlink.ts';
import type { Netns } from './netns.ts';

/** What is wrong on purpose with the devices of a namespace: their queueing disciplines, and the wires that are cut. */
export class Impairments {
  readonly #ns: Netns;

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** Sets or changes the netem of a device (`tc qdisc replace dev DEV root netem …`). @throws NetlinkError */
  setNetem(name: string, netem: NetemParameters): void {
    const device = this.#ns.links.require(name);
    if (device.qdisc === null)
      device.qdisc = new NetemQdisc(this.#ns.kernel.rt, netem, (frame, skb) => device.dequeued(frame, skb));
    else device.qdisc.change(netem);
    this.#ns.kernel.rt.emit({ type: 'qdisc.set', ns: this.#ns.name, qdisc: { dev: name, netem } });
  }

  /** Takes it away; what waits is lost. False if there is none. @throws NetlinkError */
  removeNetem(name: string): boolean {
    const device = this.#ns.links.require(name);
    if (device.qdisc === null) return false;
    device.qdisc.reset();
    device.qdisc = null;
    this.#ns.kernel.rt.emit({ type: 'qdisc.removed', ns: this.#ns.name, dev: name });
    return true;
  }

  /** @throws NetlinkError for what is no physical port. */
  setCut(name: string, cut: Cut): void {
    const device = this.#ns.links.require(name);
    if (!(device instanceof PortDevice)) throw new NetlinkError(`${name} is no physical port`);
    if (device.cut === cut) return;
    device.cut = cut;
    this.#ns.kernel.rt.emit({ type: 'link.cut', ns: this.#ns.name, dev: name, cut });
  }

  qdiscs(): QdiscFacts[] {
    return this.#ns
      .devices()
      .flatMap(({ name, qdisc }) => (qdisc === null ? [] : [{ dev: name, netem: qdisc.parameters }]));
  }

  cuts(): CutFacts[] {
    return this.#ns
      .devices()
      .flatMap((device) =>
        device instanceof PortDevice && device.cut !== 'none' ? [{ dev: device.name, cut: device.cut }] : [],
      );
  }
}
