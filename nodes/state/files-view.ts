/** Text of files by path, by whose they are ('' for the node), both in order of their names. */
export type FilesView = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Owners without files are not in the view. */
export function filesView(files: ReadonlyMap<string, ReadonlyMap<string, string>>): FilesView {
  const inOrder = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    inOrder(files)
      .filter(([, own]) => own.size > 0)
      .map(([mnt, own]) => [mnt, Object.fromEntries(inOrder(own))]),
  );
}
