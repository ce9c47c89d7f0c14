import type { Device, PortFilter } from '../../nodes/kernel/device.ts';
import { Kernel } from '../../nodes/kernel/kernel.ts';
import { isGroupMac, parseMac, readMac } from '../../protocols/mac.ts';
import { type FakeRuntime, FakeWorld, timings } from './runtime.ts';

export interface Host {
  readonly rt: FakeRuntime;
  readonly kernel: Kernel;
  readonly name: string;
}

interface Member {
  readonly host: Host;
  readonly port: number;
  filter: PortFilter;
}

/** Several kernels on in-memory segments, under one virtual clock. */
export class Network {
  readonly world = new FakeWorld();
  readonly hosts: Host[] = [];
  /** One-way time of a frame, ms. */
  latency = 0.1;
  /** Decides whether a frame gets through. */
  passes: (frame: Uint8Array) => boolean = () => true;
  readonly frames: { readonly segment: string; readonly frame: Uint8Array }[] = [];
  readonly #segments = new Map<string, Member[]>();
  readonly #ports = new Map<Host, string[]>();

  host(name: string, ipv6: 'on' | 'off' = 'off'): Host {
    const rt = this.world.runtime(this.hosts.length + 1, this.hosts.length + 1);
    const ports: string[] = [];
    const host: Host = {
      name,
      rt,
      kernel: new Kernel(rt, {
        timings,
        ipv6,
        transmit: (port, frame, cause) => this.#transmit(host, ports[port] ?? '', port, frame, cause),
        filter: (port, filter) => {
          const members = this.#segments.get(ports[port] ?? '') ?? [];
          for (const member of members)
            if (member.host === host && member.port === port) member.filter = filter;
        },
      }),
    };
    this.#ports.set(host, ports);
    this.hosts.push(host);
    return host;
  }

  /** Gives a host an interface on a segment, up, with an address. */
  attach(host: Host, segment: string, name: string, address: string): Device {
    const ports = this.#ports.get(host) ?? [];
    const port = ports.push(segment) - 1;
    const mac = 0x525400000000 + this.hosts.indexOf(host) * 256 + port;
    const device = host.kernel.root.addPort({ name, mac, mtu: 1500, port });
    host.kernel.root.setUp(name);
    host.kernel.root.addAddress(name, address);
    const members = this.#segments.get(segment) ?? [];
    members.push({ host, port, filter: { promiscuous: false, macs: [mac] } });
    this.#segments.set(segment, members);
    return device;
  }

  advance(ms: number): void {
    this.world.advance(ms);
  }

  #transmit(from: Host, segment: string, port: number, frame: Uint8Array, cause: number): void {
    this.frames.push({ segment, frame: frame.slice() });
    if (!this.passes(frame)) return;
    const dst = readMac(frame, 0);
    for (const member of this.#segments.get(segment) ?? []) {
      if (member.host === from && member.port === port) continue;
      const { promiscuous, macs } = member.filter;
      if (!isGroupMac(dst) && !promiscuous && !macs.includes(dst)) continue;
      const copy = frame.slice();
      this.world.after(this.latency, () => {
        member.host.rt.cause = cause;
        member.host.kernel.receive(member.port, copy);
      });
    }
  }
}

export function mac(text: string): number {
  return parseMac(text) ?? 0;
}
