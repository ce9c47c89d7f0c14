/**
 * Events of the files that a container, a pod or the node itself sees as its own: /etc/hosts, /etc/resolv.conf, /etc/hostname.
 * `mnt` names whose they are, as a mount namespace would: '' for the node, else what the runtime calls it.
 */
export type FileEvent =
  | { readonly type: 'file.set'; readonly mnt: string; readonly path: string; readonly text: string }
  | { readonly type: 'file.removed'; readonly mnt: string; readonly path: string }
  /** All of one owner's went. */
  | { readonly type: 'files.removed'; readonly mnt: string };
