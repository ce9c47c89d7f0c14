import type { Runtime } from '../runtime.ts';
import { type FilesView, filesView } from '../state/files-view.ts';

/**
 * The few files that name resolution reads, for every container, pod (by the name of its network namespace) and the node
 * itself (''). Containers that share one network namespace have files of their own, so they are no part of it.
 */
export class FileTable {
  readonly #rt: Runtime;
  readonly #files = new Map<string, Map<string, string>>();

  constructor(rt: Runtime) {
    this.#rt = rt;
  }

  /** Null if there is none. */
  read(mnt: string, path: string): string | null {
    return this.#files.get(mnt)?.get(path) ?? null;
  }

  write(mnt: string, path: string, text: string): void {
    const own = this.#files.get(mnt) ?? new Map<string, string>();
    if (own.get(path) === text) return;
    this.#files.set(mnt, own.set(path, text));
    this.#rt.emit({ type: 'file.set', mnt, path, text });
  }

  remove(mnt: string, path: string): void {
    if (this.#files.get(mnt)?.delete(path) === true) this.#rt.emit({ type: 'file.removed', mnt, path });
  }

  /** All of one owner's. */
  removeAll(mnt: string): void {
    const own = this.#files.get(mnt);
    this.#files.delete(mnt);
    if (own !== undefined && own.size > 0) this.#rt.emit({ type: 'files.removed', mnt });
  }

  snapshot(): FilesView {
    return filesView(this.#files);
  }
}
