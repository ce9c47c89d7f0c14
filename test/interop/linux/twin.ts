import assert from 'node:assert/strict';
import { setU16, setU32, u16 } from '../../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../../protocols/ethernet.ts';
import { findHeader, NEXT_FRAGMENT } from '../../../protocols/ipv6-headers.ts';
import { run } from '../../nodes/tools/support/run.ts';
import { EmulatedPorts, type Out } from '../../support/router.ts';
import { LinuxNamespace, type LinuxPort, type NamespaceOptions } from './namespace.ts';

/** IP id of what tests send: what the kernels send of themselves may be numbered as each likes. */
export const PACKET_ID = 4711;

/** Words of a command line, divided by blanks; what stands in double quotes is one. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

/** Our iptables is the legacy one, which Linux has under another name. */
function onLinux(command: string): string {
  return command.replace(/^(ip6?tables)(-save|-restore)?(?= |$)/, '$1-legacy$2');
}

/** Takes out of a frame what two kernels may each choose as they like. */
export type Settle = (frame: Uint8Array) => void;

/** IP ids of what the kernels send of themselves. */
export function settleIpId(frame: Uint8Array): void {
  if (frame.length < ETH_HLEN + 20 || u16(frame, 12) !== ETHERTYPE_IPV4) return;
  if (u16(frame, ETH_HLEN + 4) === PACKET_ID) return;
  setU16(frame, ETH_HLEN + 4, 0);
  setU16(frame, ETH_HLEN + 10, 0);
}

/** Numbers of fragments: who puts some together and splits them again numbers them anew. */
export function settleFragmentId(frame: Uint8Array): void {
  if (frame.length < ETH_HLEN + 40 || u16(frame, 12) !== ETHERTYPE_IPV6) return;
  const at = findHeader(frame, ETH_HLEN, frame.length, NEXT_FRAGMENT);
  if (at >= 0 && at + 8 <= frame.length) setU32(frame, at + 4, 0);
}

/** Frames as text, port first. */
export function frameTexts(out: readonly Out[], settle: Settle = settleIpId): string[] {
  return out.map(({ port, frame }) => {
    const copy = frame.slice();
    settle(copy);
    return `${port} ${Buffer.from(copy).toString('hex')}`;
  });
}

export interface TwinOptions extends NamespaceOptions {
  /** Commands for Linux alone, before the others. */
  readonly first?: readonly string[];
}

/** A namespace of the Linux kernel and one of ours, made by the same commands. */
export class Twin {
  readonly linux: LinuxNamespace;
  readonly ours: EmulatedPorts;
  /** What was done so far, to stand beside a difference. */
  readonly #story: string[] = [];
  settle: Settle = settleIpId;

  private constructor(linux: LinuxNamespace, ours: EmulatedPorts) {
    this.linux = linux;
    this.ours = ours;
  }

  /** Commands of set-up are taken by both, or it is an error. Words with blanks stand in double quotes; the shell is not asked. */
  static async start(
    ports: readonly LinuxPort[],
    setUp: readonly string[],
    options: TwinOptions = {},
  ): Promise<Twin> {
    const ours = new EmulatedPorts(ports);
    const { first = [], ...shape } = options;
    const linux = await LinuxNamespace.start(ports, [...first, ...setUp.map(onLinux)], shape);
    const twin = new Twin(linux, ours);
    for (const command of setUp) {
      const { code, text } = run(words(command), ours.root);
      assert.ok(code === 0, `${command}: ${text}`);
      if (!/^ip( -6)? neigh/.test(command)) twin.#story.push(command);
    }
    return twin;
  }

  /** Runs commands in both: each is taken by both or by neither. */
  async all(commands: readonly string[]): Promise<void> {
    const script = commands.map(
      (command) => `${onLinux(command)} >/dev/null 2>&1 && echo taken || echo refused`,
    );
    const theirs = (await this.linux.run(script.join('\n'))).trim().split('\n');
    for (const [i, command] of commands.entries()) {
      const { code, text } = run(words(command), this.ours.root);
      this.#story.push(`${command}   ${theirs[i]}`);
      assert.equal(code === 0 ? 'taken' : 'refused', theirs[i], `${this.story()}\n${text}`);
    }
  }

  /** A command's stdout and stderr in both has to be the same, once what may differ is taken out. */
  async same(command: string, settle: (text: string) => string = (text) => text): Promise<void> {
    const theirs = await this.linux.run(`${onLinux(command)} 2>&1`);
    const { text } = run(words(command), this.ours.root);
    this.#story.push(command);
    assert.equal(settle(text), settle(theirs), this.story());
  }

  /** Sends a frame into a port of both: the same has to come out, in the order of the ports. What did. */
  async send(port: number, frame: Uint8Array, told = ''): Promise<Out[]> {
    // A veth takes no more than the MTU of its other end, as no wire need do.
    if (this.ours.deviceOf(port)?.fits(frame) !== true) return [];
    const theirs = await this.linux.send(port, frame);
    const mine = this.ours.send(port, frame);
    this.#story.push(`> ${port} ${told} ${Buffer.from(frame.subarray(0, 100)).toString('hex')}`);
    const texts = frameTexts(theirs, this.settle).sort();
    assert.deepEqual(frameTexts(mine, this.settle).sort(), texts, this.story());
    for (const text of texts) this.#story.push(`  < ${text.slice(0, 200)}`);
    return theirs;
  }

  /** A little time goes by in both, more than a tick of Linux' clock. */
  async pause(): Promise<void> {
    await this.linux.run('sleep 0.02');
    this.ours.world.advance(20);
    this.#story.push('(20 ms)');
  }

  story(): string {
    return this.#story.join('\n');
  }

  stop(): void {
    this.linux.stop();
  }
}
