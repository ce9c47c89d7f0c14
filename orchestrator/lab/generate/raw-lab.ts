/** Plain values as they would come from a lab file. */
export interface GeneratedLab {
  readonly topology: {
    readonly nodes: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly links?: readonly RawLink[];
  };
  readonly segments?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly cluster?: Readonly<Record<string, unknown>>;
}

export interface RawLink {
  readonly endpoints: readonly [string, string];
  readonly delay: string;
}

/** Hands out `eth1`, `eth2`, … of each node. */
export class Ports {
  readonly #used = new Map<string, number>();

  next(node: string): string {
    const port = (this.#used.get(node) ?? 0) + 1;
    this.#used.set(node, port);
    return `${node}:eth${port}`;
  }

  link(a: string, b: string, delay: string): RawLink {
    return { endpoints: [this.next(a), this.next(b)], delay };
  }
}

/** `r1` to `r<count>`. */
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`);
}
