import type { LinkFacts, LinkKind } from '../../events/kernel.ts';
import { ToolError } from '../tool.ts';
import { type IpContext, takeDevice } from './context.ts';
import { EXIT_ARGUMENT, invalidArgument, type Words } from './words.ts';

/** What `ip link show` and `ip addr show` can be narrowed to. */
export class LinkSelection {
  readonly #ctx: IpContext;
  #dev: string | null = null;
  #master: string | null = null;
  #up = false;
  #type: string | null = null;

  constructor(ctx: IpContext) {
    this.#ctx = ctx;
  }

  /** Takes a word of the command line, a device's name if it is no keyword. @throws ToolError */
  take(word: string, words: Words): void {
    switch (word) {
      case 'up':
        this.#up = true;
        return;
      case 'master': {
        const name = words.argument();
        if (this.#ctx.ns.device(name) === undefined) throw invalidArgument(name, 'Device does not exist\n');
        this.#master = name;
        return;
      }
      case 'nomaster':
        this.#master = '';
        return;
      case 'type':
        this.#type = words.argument();
        return;
      default: {
        const name = takeDevice(this.#dev, word === 'dev' ? words.argument() : word);
        if (this.#ctx.ns.device(name) === undefined)
          throw new ToolError(`Device "${name}" does not exist.`, EXIT_ARGUMENT);
        this.#dev = name;
      }
    }
  }

  get dev(): string | null {
    return this.#dev;
  }

  readonly matches = (link: LinkFacts): boolean =>
    (this.#dev === null || link.name === this.#dev) &&
    (this.#master === null || link.master === this.#master) &&
    (!this.#up || link.up) &&
    (this.#type === null || this.#type === typeOf(link.kind));
}

/** A physical port and lo have no kind of their own. */
function typeOf(kind: LinkKind): string {
  return kind === 'ether' || kind === 'loopback' ? '' : kind;
}
