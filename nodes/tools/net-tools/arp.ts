import { formatIp4, parseIp4 } from '../../../protocols/ip4.ts';
import type { NeighborFacts } from '../../events/kernel.ts';
import { getopt } from '../getopt.ts';
import { AddressNames, type Resolved, resolveInet } from '../resolve.ts';
import {
  EXIT_INTERRUPTED,
  endingOnError,
  type RunningTool,
  type Tool,
  type ToolContext,
  ToolError,
  type ToolOutput,
} from '../tool.ts';

interface ArpOptions {
  readonly numeric: boolean;
  /** `-a`, or columns. */
  readonly style: 'bsd' | 'linux';
  readonly dev: string;
}

/** arp(8) of net-tools, to look at the table; `-n`, `-a`, `-e`, `-i DEV`, one host. It does not change it. */
export const arp: Tool = endingOnError((args, ctx, out) => {
  const parsed = getopt(args, { flags: 'aenv', values: 'i' });
  if (!parsed.ok) {
    if ('dsfHDv'.includes(parsed.name))
      throw new ToolError(`arp: -${parsed.name} is not emulated: use ip neighbor`, 4);
    throw new ToolError(
      `arp: invalid option -- '${parsed.name}'\nUsage:\n  arp [-aen] [-i <if>] [<hostname>]`,
      3,
    );
  }
  const flags = new Set(parsed.options.map(({ name }) => name));
  const dev = parsed.options.findLast(({ name }) => name === 'i')?.value ?? '';
  const options: ArpOptions = { numeric: flags.has('n'), style: flags.has('a') ? 'bsd' : 'linux', dev };
  return new Arp(ctx, out, options, parsed.operands[0]?.text ?? null);
});

class Arp implements RunningTool {
  readonly #out: ToolOutput;
  readonly #options: ArpOptions;
  readonly #names: AddressNames;
  #lookup: { cancel(): void } = { cancel: () => {} };
  #ended = false;

  constructor(ctx: ToolContext, out: ToolOutput, options: ArpOptions, host: string | null) {
    this.#out = out;
    this.#options = options;
    this.#names = new AddressNames(ctx);
    const entries = ctx.ns
      .neighbors()
      .filter(
        ({ dev, ip, state }) =>
          (options.dev === '' || dev === options.dev) && parseIp4(ip) !== null && state !== 'NOARP',
      );
    if (host === null) this.#name(entries, 0);
    else this.#lookup = resolveInet(ctx, host, (resolved) => this.#host(host, resolved, entries));
  }

  interrupt(): void {
    this.#exit(EXIT_INTERRUPTED);
  }

  #host(host: string, resolved: Resolved, entries: readonly NeighborFacts[]): void {
    if (this.#ended) return;
    if (!resolved.ok) {
      this.#out.stderr(`${host}: Unknown host\n`);
      this.#exit(1);
      return;
    }
    const { addr } = resolved.target;
    const found = entries.filter(({ ip }) => parseIp4(ip) === addr);
    if (found.length > 0) {
      this.#name(found, 0);
      return;
    }
    const text = formatIp4(addr);
    this.#out.stdout(`${host} (${text}) -- no entry\n`);
    this.#exit(0);
  }

  /** Finds the names out one after the other, then prints. */
  #name(entries: readonly NeighborFacts[], at: number): void {
    if (this.#ended) return;
    const addr = parseIp4(entries[at]?.ip ?? '');
    if (this.#options.numeric || addr === null) this.#print(entries);
    else this.#names.find(addr, () => this.#name(entries, at + 1));
  }

  #print(entries: readonly NeighborFacts[]): void {
    const bsd = this.#options.style === 'bsd';
    if (!bsd && entries.length > 0)
      this.#out.stdout('Address                  HWtype  HWaddress           Flags Mask            Iface\n');
    for (const entry of entries) this.#out.stdout(bsd ? this.#bsdLine(entry) : this.#line(entry));
    this.#exit(0);
  }

  #nameOf(ip: string): string | null {
    return this.#options.numeric ? null : (this.#names.get(parseIp4(ip) ?? 0) ?? null);
  }

  #bsdLine({ ip, mac, state, dev }: NeighborFacts): string {
    const name = this.#nameOf(ip) ?? '?';
    if (!isComplete(mac, state)) return `${name} (${ip}) at <incomplete> on ${dev}\n`;
    return `${name} (${ip}) at ${mac} [ether]${state === 'PERMANENT' ? ' PERM' : ''} on ${dev}\n`;
  }

  #line({ ip, mac, state, dev }: NeighborFacts): string {
    const complete = isComplete(mac, state);
    const flags = complete ? `C${state === 'PERMANENT' ? 'M' : ''}` : '';
    const name = (this.#nameOf(ip) ?? ip).slice(0, 23).padEnd(23);
    const type = (complete ? 'ether' : '').padEnd(7);
    const address = (complete ? mac : '(incomplete)').padEnd(19);
    return `${name}  ${type} ${address} ${flags.padEnd(6)}${''.padEnd(15)} ${dev}\n`;
  }

  #exit(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lookup.cancel();
    this.#names.cancel();
    this.#out.exit(code);
  }
}

function isComplete(mac: string, state: NeighborFacts['state']): boolean {
  return mac !== '' && state !== 'INCOMPLETE' && state !== 'FAILED';
}
