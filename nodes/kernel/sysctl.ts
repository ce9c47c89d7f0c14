import type { SysctlFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';

/** A variable that the emulated kernel does not have, or a value that it does not take. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
}

interface Variable {
  read(): number;
  write(value: number): void;
  readonly max: number;
}

/**
 * The variables of a namespace below `net.ipv4` that can be written: by device, '' for the namespace's own, and name.
 * What is written is in the log; what never was has the kernel's default.
 */
export class Sysctls {
  /** `net.ipv4.ip_forward` */
  ipForward = false;
  /** `net.ipv4.conf.all.promote_secondaries`: what becomes of a subnet's other addresses when its first goes. */
  promoteSecondaries = false;
  /** `net.ipv4.conf.all.route_localnet`: addresses of 127/8 may come from outside and go there. */
  routeLocalnet = false;
  /** Devices of which `route_localnet` is set. */
  readonly #localnetDevices = new Set<string>();
  readonly #ns: Netns;
  /** What has been written since boot, by device. */
  readonly #written = new Map<string, Set<string>>();

  constructor(ns: Netns) {
    this.#ns = ns;
  }

  /** `IN_DEV_ROUTE_LOCALNET` */
  routesLocalnet(device: Device): boolean {
    return this.routeLocalnet || this.#localnetDevices.has(device.name);
  }

  /** @throws SysctlError */
  get(dev: string, name: string): number {
    return this.#require(dev, name).read();
  }

  /** @throws SysctlError */
  set(dev: string, name: string, value: number): void {
    const variable = this.#require(dev, name);
    if (!Number.isInteger(value) || value < 0 || value > variable.max)
      throw new SysctlError('Invalid argument');
    if (variable.read() === value) return;
    variable.write(value);
    const names = this.#written.get(dev) ?? new Set();
    this.#written.set(dev, names.add(name));
    const { kernel, name: ns } = this.#ns;
    kernel.rt.emit({ type: 'sysctl.set', ns, sysctl: { dev, name, value } });
  }

  /** What has been written since boot, as it is now. */
  list(): SysctlFacts[] {
    return [...this.#written].flatMap(([dev, names]) =>
      [...names].map((name) => ({ dev, name, value: this.get(dev, name) })),
    );
  }

  /** Forgets the variables of a device that goes. */
  deviceRemoved(dev: string): void {
    this.#written.delete(dev);
    this.#localnetDevices.delete(dev);
  }

  /** Names of the variables that there are for a device, or of the namespace's own. */
  names(dev: string): string[] {
    return [...this.#variables(dev).keys()];
  }

  #require(dev: string, name: string): Variable {
    const variable = this.#variables(dev).get(name);
    if (variable === undefined) throw new SysctlError('No such file or directory');
    return variable;
  }

  #variables(dev: string): Map<string, Variable> {
    return dev === '' ? this.#own() : this.#ofDevice(dev);
  }

  #own(): Map<string, Variable> {
    const { kernel, name } = this.#ns;
    const own = new Map([
      [
        'conf.all.promote_secondaries',
        flag(
          () => this.promoteSecondaries,
          (on) => {
            this.promoteSecondaries = on;
          },
        ),
      ],
      [
        'conf.all.route_localnet',
        flag(
          () => this.routeLocalnet,
          (on) => {
            this.routeLocalnet = on;
          },
        ),
      ],
      [
        'ip_forward',
        flag(
          () => this.ipForward,
          (on) => {
            this.ipForward = on;
          },
        ),
      ],
    ]);
    // The neighbour table is one for all namespaces; the root has its limits.
    if (name !== '') return own;
    const { neighborPool: pool } = kernel;
    for (const key of ['gcThresh1', 'gcThresh2', 'gcThresh3'] as const) {
      own.set(`neigh.default.gc_thresh${key.at(-1)}`, {
        read: () => pool[key],
        write: (value) => {
          pool[key] = value;
        },
        max: 0x7fffffff,
      });
    }
    return own;
  }

  #ofDevice(dev: string): Map<string, Variable> {
    const device = this.#ns.device(dev);
    if (device === undefined) return new Map();
    const proxyArp = flag(
      () => device.proxyArp,
      (on) => {
        device.proxyArp = on;
      },
    );
    const routeLocalnet = flag(
      () => this.#localnetDevices.has(dev),
      (on) => {
        if (on) this.#localnetDevices.add(dev);
        else this.#localnetDevices.delete(dev);
      },
    );
    return new Map([
      ['proxy_arp', proxyArp],
      ['route_localnet', routeLocalnet],
    ]);
  }
}

function flag(read: () => boolean, write: (on: boolean) => void): Variable {
  return { read: () => Number(read()), write: (value) => write(value === 1), max: 1 };
}
