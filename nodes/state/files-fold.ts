import type { FileEvent } from '../events/files.ts';
import type { NodeEvent } from '../events/node.ts';
import { type FilesView, filesView } from './files-view.ts';

/** The files from their events alone. Those that outlive a boot are written again by whoever keeps them. */
export class FilesFold {
  readonly #files = new Map<string, Map<string, string>>();

  apply(event: FileEvent | Extract<NodeEvent, { type: 'node.booted' }>): void {
    switch (event.type) {
      case 'node.booted':
        this.#files.clear();
        return;
      case 'file.set': {
        const own = this.#files.get(event.mnt) ?? new Map<string, string>();
        this.#files.set(event.mnt, own.set(event.path, event.text));
        return;
      }
      case 'file.removed':
        this.#files.get(event.mnt)?.delete(event.path);
        return;
      case 'files.removed':
        this.#files.delete(event.mnt);
    }
  }

  view(): FilesView {
    return filesView(this.#files);
  }
}
