import { ARP_LEN, ARP_REPLY, ARP_REQUEST, decodeArp, encodeArp } from '../../protocols/arp.ts';
import { GAI_ERRORS } from '../../protocols/dns/resolver.ts';
import { ETH_HLEN, ETHERTYPE_ARP, etherType, writeEthernet } from '../../protocols/ethernet.ts';
import { formatIp4 } from '../../protocols/ip4.ts';
import { BROADCAST_MAC, formatMac } from '../../protocols/mac.ts';
import type { Device, DeviceTap } from '../kernel/device.ts';
import type { TimerHandle } from '../runtime.ts';
import { getopt } from './getopt.ts';
import { inetAton, resolveInet } from './resolve.ts';
import { reach } from './send-error.ts';
import {
  ENDED,
  endingOnError,
  isAlive,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
  WaitingTool,
} from './tool.ts';

const USAGE = `
Usage:
  arping [options] <destination>

Options:
  -f            quit on first reply
  -q            be quiet
  -b            keep on broadcasting, do not unicast
  -D            duplicate address detection mode
  -U            unsolicited ARP mode, update your neighbours
  -A            ARP answer mode, update your neighbours
  -V            print version and exit
  -c <count>    how many packets to send
  -w <timeout>  how long to wait for a reply
  -i <interval> set interval between packets (default: 1 second)
  -I <device>   which ethernet device to use
  -s <source>   source ip address
  <destination> dns name or ip address

For more details see arping(8).`;

interface ArpingOptions {
  readonly flags: ReadonlySet<string>;
  /** 0: no end. */
  readonly count: number;
  /** ms; 0: none. */
  readonly deadline: number;
  readonly interval: number;
  readonly device: string;
  readonly source: string;
  readonly target: string;
}

/** arping(8) of iputils 20221126. */
export const arping: Tool = endingOnError((args, ctx, out) => {
  const options = parseOptions(args);
  return new WaitingTool(ctx, out, (resume) =>
    resolveInet(ctx, options.target, (resolved) =>
      resume(() => {
        if (!resolved.ok) throw new ToolError(`arping: ${options.target}: ${GAI_ERRORS[resolved.error]}`, 2);
        const { addr } = resolved.target;
        const device = deviceOf(ctx, options, addr);
        if (device.hasLinkLayer) return new Arping(ctx, out, options, device, addr);
        out.stdout(`Interface "${device.name}" is not ARPable\n`);
        // The duplicate that it might have found is not there.
        out.exit(options.flags.has('D') ? 0 : 2);
        return ENDED;
      }),
    ),
  );
});

function parseOptions(args: readonly string[]): ArpingOptions {
  const parsed = getopt(args, { flags: 'fqbDUAVh', values: 'cwiIs' });
  if (!parsed.ok) throw new ToolError(`arping: invalid option -- '${parsed.name}'\n${USAGE}`, 2);
  const flags = new Set(parsed.options.map(({ name }) => name));
  if (flags.has('V')) throw new ToolError('arping from iputils 20221126, reroute', 0);
  const last = (name: string) => parsed.options.findLast((option) => option.name === name)?.value ?? null;
  const number = (name: string, otherwise: number): number => {
    const value = last(name);
    if (value === null) return otherwise;
    if (!/^\d+(\.\d+)?$/.test(value)) throw new ToolError(`arping: invalid argument: '${value}'`, 1);
    return Number(value);
  };
  const target = parsed.operands.at(-1)?.text;
  if (target === undefined || flags.has('h')) throw new ToolError(USAGE, 2);
  return {
    flags,
    count: number('c', 0),
    deadline: number('w', 0) * 1000,
    interval: Math.max(1, number('i', 1) * 1000),
    device: last('I') ?? '',
    source: last('s') ?? '',
    target,
  };
}

function deviceOf(ctx: ToolContext, { device: name }: ArpingOptions, target: number): Device {
  const { ns } = ctx;
  const way = reach(ns, target, 0, 0);
  const device = ns.device(name !== '' ? name : way.ok ? way.dev : '');
  if (name !== '' && device === undefined) throw new ToolError(`arping: Device ${name} not available.`, 2);
  if (device === undefined)
    throw new ToolError('arping: Gateway for the destination is not known, use -I', 2);
  if (!device.up) throw new ToolError(`arping: Interface "${device.name}" is down`, 2);
  return device;
}

class Arping implements RunningTool, DeviceTap {
  readonly #ctx: ToolContext;
  readonly #out: ToolOutput;
  readonly #options: ArpingOptions;
  readonly #target: number;
  readonly #device: Device;
  readonly #source: number;
  #to = BROADCAST_MAC;
  #sent = 0;
  #broadcasts = 0;
  #received = 0;
  #sentAt = 0;
  #timers: TimerHandle[] = [];
  #ended = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: ArpingOptions, device: Device, target: number) {
    this.#ctx = ctx;
    this.#out = out;
    this.#options = options;
    this.#target = target;
    this.#device = device;
    const { ns, rt } = ctx;
    const way = reach(ns, target, 0, 0);
    this.#source = this.#sourceOf(way.ok && way.dev === device.name ? way.src : 0);
    if (!options.flags.has('q'))
      out.stdout(`ARPING ${formatIp4(target)} from ${formatIp4(this.#source)} ${device.name}\n`);
    device.addTap(this);
    if (options.deadline > 0)
      this.#timers.push(rt.timers.set(rt.now + options.deadline, () => this.#finish()));
    this.#send();
  }

  interrupt(): void {
    this.#finish();
  }

  /** A frame of the device; the answers are among those that come in. */
  seen(direction: 'in' | 'out', frame: Uint8Array): void {
    if (direction !== 'in' || this.#ended || etherType(frame) !== ETHERTYPE_ARP) return;
    const arp = decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
    const { flags } = this.#options;
    const answers = arp !== null && arp.op === ARP_REPLY && arp.spa === this.#target;
    if (arp === null || !answers || arp.tpa !== this.#source || arp.tha !== this.#device.mac) return;
    this.#received++;
    const { now } = this.#ctx.rt;
    if (!flags.has('q')) {
      const mac = formatMac(arp.sha).toUpperCase();
      this.#out.stdout(
        `Unicast reply from ${formatIp4(arp.spa)} [${mac}]  ${(now - this.#sentAt).toFixed(3)}ms\n`,
      );
    }
    if (!flags.has('b')) this.#to = arp.sha;
    // From within the kernel no tool ends: a timer of this very moment does it.
    if (flags.has('f') || this.#isLast())
      this.#timers.push(this.#ctx.rt.timers.set(now, () => this.#finish()));
  }

  #sourceOf(preferred: number): number {
    const { flags, source } = this.#options;
    if (flags.has('D')) return source === '' ? 0 : (inetAton(source) ?? 0);
    if (source !== '') {
      const addr = inetAton(source);
      if (addr === null || !this.#ctx.ns.isLocal(addr))
        throw new ToolError('arping: bind: Cannot assign requested address', 2);
      return addr;
    }
    if (flags.has('U') || flags.has('A')) return this.#target;
    return preferred !== 0 ? preferred : (this.#device.addresses[0]?.addr ?? 0);
  }

  #isLast(): boolean {
    const { count } = this.#options;
    return count > 0 && this.#sent >= count && this.#received >= count;
  }

  #send(): void {
    if (this.#ended) return;
    if (!isAlive(this.#ctx)) {
      this.#finish();
      return;
    }
    const { rt } = this.#ctx;
    const { count, interval, flags } = this.#options;
    if (count > 0 && this.#sent >= count) {
      this.#finish();
      return;
    }
    const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
    const { mac } = this.#device;
    writeEthernet(frame, this.#to, mac, ETHERTYPE_ARP);
    const answer = flags.has('A');
    encodeArp(frame, ETH_HLEN, {
      op: answer ? ARP_REPLY : ARP_REQUEST,
      sha: mac,
      spa: this.#source,
      tha: answer ? mac : this.#to,
      tpa: this.#target,
    });
    this.#sentAt = rt.now;
    this.#sent++;
    if (this.#to === BROADCAST_MAC) this.#broadcasts++;
    this.#device.transmit(frame);
    this.#timers.push(rt.timers.set(rt.now + interval, () => this.#send()));
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { rt } = this.#ctx;
    this.#device.removeTap(this);
    for (const timer of this.#timers) rt.timers.cancel(timer);
    const { flags } = this.#options;
    if (!flags.has('q'))
      this.#out.stdout(
        `Sent ${this.#sent} probes (${this.#broadcasts} broadcast(s))\nReceived ${this.#received} response(s)\n`,
      );
    // With -D an answer is the duplicate that must not be; an announcement wants none.
    const fine = flags.has('D')
      ? this.#received === 0
      : flags.has('U') || flags.has('A') || this.#received > 0;
    this.#out.exit(fine ? 0 : 1);
  }
}
