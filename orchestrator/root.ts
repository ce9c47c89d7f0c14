import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folder of the project, found from this file or the bundle that it is in. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('reroute does not find its own folder: package.json is missing');
    folder = parent;
  }
  return folder;
}

/** What node processes run: the loader of the node's bundle. */
export function nodeProgram(): string {
  return join(projectRoot(), 'dist', 'node.cjs');
}
