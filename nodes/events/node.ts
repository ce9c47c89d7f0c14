/** Events of the node as a whole: boot, shutdown, commands, and what the wire brought that could not be used. */
export type NodeEvent =
  /**
   * Clears what a real reboot clears (namespaces, devices, routes, neighbours, sessions, RIBs) and keeps what a
   * disk keeps: IPAM allocations, the lease in subnet.env, the VTEP MAC, sandbox checkpoints.
   */
  | { readonly type: 'node.booted'; readonly boot: number; readonly config: string }
  | { readonly type: 'node.stopped'; readonly reason: string }
  | { readonly type: 'command.received'; readonly command: string; readonly detail: string }
  /** Count of frames dropped since the last such event, by reason, reported at most once a second. */
  | { readonly type: 'frames.dropped'; readonly reasons: Readonly<Record<string, number>> };
