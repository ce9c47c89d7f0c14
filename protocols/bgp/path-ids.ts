import type { Path } from './path.ts';

/** A number for each path that goes to a peer with ADD-PATH: one for each peer and path identifier that it came by. */
export class PathIds {
  readonly #ids = new Map<string, number>();

  of({ peer, pathId }: Path): number {
    const name = `${peer?.name ?? ''}|${pathId}`;
    let id = this.#ids.get(name);
    if (id === undefined) {
      id = this.#ids.size + 1;
      this.#ids.set(name, id);
    }
    return id;
  }
}
