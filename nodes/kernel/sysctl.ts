import type { SysctlFacts } from '../events/kernel.ts';
import type { Device } from './device.ts';
import type { Netns } from './netns.ts';
import {
  type Ipv4Conf,
  type Ipv4Sysctls,
  initialConf,
  initialConfOfAll,
  initialIpv4,
  initialNeighConf,
  ipv4Directories,
  type NeighConf,
} from './sysctl-ipv4.ts';

/** A variable that the emulated kernel does not have, or a value that it does not take. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
}

/** Numbers, but for the few variables that hold several numbers or a list, which are as the file reads. */
export type SysctlValue = number | string;

/** A variable as its `ctl_table` row has it. */
export interface SysctlSpec {
  /** Least and most that it takes; any 32-bit integer where absent (`proc_dointvec`). */
  readonly min?: number;
  readonly max?: number;
  /** What a text stands for, null if the variable does not take it; an integer where absent. */
  readonly parse?: (text: string, old: SysctlValue) => SysctlValue | null;
}

/** The variables of one directory below /proc/sys/net. */
export interface SysctlDirectory {
  /** Below `net`, by dots; a `*` stands for the device: `ipv4.conf.*`. */
  readonly path: string;
  readonly variables: Readonly<Record<string, SysctlSpec>>;
  /** The object that holds the values by name, of a device where the path has one; undefined: there is none. */
  values(dev: string): { [name: string]: SysctlValue } | undefined;
  /** Called after a value has been written and recorded. */
  written?(name: string, dev: string, old: SysctlValue): void;
}

/** One variable of a namespace. */
export interface SysctlName {
  /** Below `net`, by dots; a `*` stands for the device: `ipv4.conf.*.rp_filter`. */
  readonly name: string;
  /** Device, `all` or `default`; '' where the name has no `*`. */
  readonly dev: string;
}

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;

/**
 * The variables of a namespace below `net`. What is written is in the log; what never was has the kernel's default. Each
 * part of the kernel adds the directories it has; the values themselves are plain objects that it reads at its own speed.
 */
export class Sysctls {
  /** `net.ipv4` */
  readonly ipv4: Ipv4Sysctls = initialIpv4();
  /** `net.ipv4.conf.all` and `default`. */
  readonly all: Ipv4Conf;
  readonly defaults: Ipv4Conf;
  /** `net.ipv4.neigh.default` */
  readonly neighDefaults: NeighConf = initialNeighConf();
  readonly #ns: Netns;
  readonly #directories = new Map<string, SysctlDirectory>();
  /** What has been written since boot, by device and name. */
  readonly #written = new Map<string, SysctlFacts>();
  /** Variables of devices that `conf.default` has no say in any more. */
  readonly #explicit = new WeakMap<Device, Set<string> | 'all'>();

  constructor(ns: Netns) {
    this.#ns = ns;
    // `devinet_init_net`: a new namespace begins with what the first one has (net.core.devconf_inherit_init_net = 0).
    const first = ns.name === '' ? null : ns.kernel.root.sysctls;
    this.all = first === null ? initialConfOfAll() : { ...first.all };
    this.defaults = first === null ? initialConf() : { ...first.defaults };
    for (const directory of ipv4Directories(ns, this)) this.add(directory);
  }

  /** Adds a directory of variables. */
  add(directory: SysctlDirectory): void {
    this.#directories.set(directory.path, directory);
  }

  /** @throws SysctlError */
  get(name: string, dev = ''): SysctlValue {
    const { values, leaf } = this.#require(name, dev);
    return values[leaf]!;
  }

  /** @throws SysctlError */
  set(name: string, value: SysctlValue, dev = ''): void {
    const { directory, values, leaf, spec } = this.#require(name, dev);
    const { min = INT_MIN, max = INT_MAX, parse } = spec;
    const old = values[leaf]!;
    if (parse !== undefined) {
      if (parse(String(value), old) !== value) throw new SysctlError('Invalid argument');
    } else if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
      throw new SysctlError('Invalid argument');
    const device = directory.path === 'ipv4.conf.*' ? this.#ns.device(dev) : undefined;
    if (device !== undefined && this.#explicit.get(device) !== 'all')
      this.#explicit.set(device, new Set(this.#explicit.get(device)).add(leaf));
    if (old === value) return;
    values[leaf] = value;
    this.#record(name, dev, value);
    directory.written?.(leaf, dev, old);
  }

  /** Sets a variable as a text written to its file does. @throws SysctlError */
  write(name: string, text: string, dev = ''): void {
    const { values, leaf, spec } = this.#require(name, dev);
    const value = (spec.parse ?? parseInteger)(text, values[leaf]!);
    if (value === null) throw new SysctlError('Invalid argument');
    this.set(name, value, dev);
  }

  /** A variable changes because another was written: that is in the log only where it was written once itself. */
  follow(name: string, value: SysctlValue, dev = ''): void {
    const { values, leaf } = this.#require(name, dev);
    if (values[leaf] === value) return;
    values[leaf] = value;
    const canonical = canonicalName({ name, dev });
    if (this.#written.has(keyOf(canonical))) this.#record(name, dev, value);
  }

  /** What has been written since boot, as it is now. */
  list(): SysctlFacts[] {
    return [...this.#written.values()];
  }

  /** Forgets the variables of a device that goes. */
  deviceRemoved(dev: string): void {
    for (const [key, facts] of this.#written) if (facts.dev === dev) this.#written.delete(key);
  }

  /** A device has got an address: from now on it is configured by itself (`ipv4_devconf_setall`). */
  addressAdded(device: Device): void {
    this.#explicit.set(device, 'all');
  }

  /** Whether a write to `conf.default` still goes for a device too. */
  followsDefault(device: Device, name: string): boolean {
    const explicit = this.#explicit.get(device);
    return explicit !== 'all' && explicit?.has(name) !== true;
  }

  /** All variables that there are. */
  names(): SysctlName[] {
    const devices = ['all', 'default', ...this.#ns.devices().map(({ name }) => name)];
    return [...this.#directories.values()].flatMap((directory) =>
      (directory.path.includes('*') ? devices : ['']).flatMap((dev) =>
        directory.values(dev) === undefined
          ? []
          : Object.keys(directory.variables).map((leaf) => ({ name: `${directory.path}.${leaf}`, dev })),
      ),
    );
  }

  /** @throws SysctlError */
  #require(name: string, dev: string) {
    const at = name.lastIndexOf('.');
    const directory = this.#directories.get(name.slice(0, at));
    const leaf = name.slice(at + 1);
    const spec =
      directory !== undefined && Object.hasOwn(directory.variables, leaf)
        ? directory.variables[leaf]
        : undefined;
    const values = directory?.values(dev);
    if (directory === undefined || spec === undefined || values === undefined)
      throw new SysctlError('No such file or directory');
    return { directory, values, leaf, spec };
  }

  #record(name: string, dev: string, value: SysctlValue): void {
    const { kernel, name: ns } = this.#ns;
    const canonical = canonicalName({ name, dev });
    const sysctl = { ...canonical, value };
    this.#written.set(keyOf(canonical), sysctl);
    kernel.rt.emit({ type: 'sysctl.set', ns, sysctl });
  }
}

/** `ip_forward` and `conf.all.forwarding` are one variable. */
function canonicalName(name: SysctlName): SysctlName {
  return name.dev === 'all' && name.name === 'ipv4.conf.*.forwarding'
    ? { dev: '', name: 'ipv4.ip_forward' }
    : { dev: name.dev, name: name.name };
}

function keyOf({ name, dev }: SysctlName): string {
  return `${dev} ${name}`;
}

/** The first number of a text, in C's notations (`proc_get_long`); null if there is none. */
export function parseInteger(text: string): number | null {
  const match = /^\s*(-?)(0[xX][0-9a-fA-F]+|\d+)(?=\s|$)/.exec(text);
  if (match === null) return null;
  const [, sign, digits = ''] = match;
  const octal = /^0\d/.test(digits);
  if (octal && /[89]/.test(digits)) return null;
  const value = octal ? Number.parseInt(digits, 8) : Number(digits);
  return sign === '-' ? -value : value;
}
