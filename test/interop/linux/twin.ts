import assert from 'node:assert/strict';
import { run } from '../../nodes/tools/support/run.ts';
import { EmulatedPorts, type Out } from '../../support/router.ts';
import { onLinux, takenOrRefused, words } from './command.ts';
import { LinuxNamespace, type LinuxPort, type NamespaceOptions } from './namespace.ts';
import { frameTexts, type Settle, settleIpId } from './settle.ts';

/** How long a worker of the kernel may take, ms, and how often it is looked. */
const WORKERS = 2_000;
const AFTERWARDS = 20;

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
    const script = commands.map(takenOrRefused).join('\n');
    const theirs = (await this.linux.run(script)).trim().split('\n');
    for (const [i, command] of commands.entries()) {
      const { code, text } = run(words(command), this.ours.root);
      this.#story.push(`${command}   ${theirs[i]}`);
      assert.equal(code === 0 ? 'taken' : 'refused', theirs[i], `${this.story()}\n${text}`);
    }
  }

  /** A command's stdout and stderr in both has to be the same, once what may differ is taken out. What ours says, and Linux. */
  async same(
    command: string,
    settle: (text: string) => string = (text) => text,
  ): Promise<readonly [string, string]> {
    const theirs = await this.linux.run(`${onLinux(command)} 2>&1`);
    const { text } = run(words(command), this.ours.root);
    this.#story.push(command);
    assert.equal(settle(text), settle(theirs), this.story());
    return [text, theirs];
  }

  /** Sends a frame into a port of both: the same has to come out, in the order of the ports. What did. */
  async send(port: number, frame: Uint8Array, told = ''): Promise<Out[]> {
    // A veth takes no more than the MTU of its other end, as no wire need do.
    if (this.ours.deviceOf(port)?.fits(frame) !== true) return [];
    const theirs = await this.linux.send(port, frame);
    const mine = this.ours.send(port, frame);
    // What a worker of the kernel sends may be late.
    const end = performance.now() + WORKERS;
    while (theirs.length < mine.length && performance.now() < end)
      theirs.push(...(await this.linux.exchange([], AFTERWARDS)));
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

  /** Time goes by in both: the same has to come out meanwhile. */
  async later(ms: number): Promise<void> {
    await this.linux.run(`sleep ${ms / 1_000}`);
    const theirs = frameTexts(await this.linux.exchange([], 0), this.settle).sort();
    const mine = this.ours.during(() => this.ours.world.advance(ms));
    this.#story.push(`(${ms} ms)`);
    assert.deepEqual(frameTexts(mine, this.settle).sort(), theirs, this.story());
  }

  story(): string {
    return this.#story.join('\n');
  }

  stop(): void {
    this.linux.stop();
  }
}
