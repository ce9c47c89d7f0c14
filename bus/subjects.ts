/**
 * Every subject, stream and bucket of a lab. Names of labs, nodes and segments are tokens: letters, digits, `-`
 * and `_`.
 *
 *     reroute.<lab>.wire.<segment>.<mac>   frames to one MAC address, 12 hex digits, or `bcast`
 *     reroute.<lab>.cmd.<node>             commands to a node; `orchestrator` is the lab's own
 *     reroute.<lab>.ready                  a node's process is ready to boot
 *     reroute.<lab>.boot                   the nodes that wait for it boot
 *     reroute.<lab>.gone                   a node's process has ended
 *     reroute.<lab>.log.<node>             the durable log
 */
class SubjectError extends Error {
  override readonly name = 'SubjectError';
}

export function token(name: string): string {
  if (!/^[A-Za-z0-9_-]+$/.test(name)) {
    throw new SubjectError(`'${name}' cannot name anything on the bus; use letters, digits, - and _`);
  }
  return name;
}

export function wirePrefix(lab: string, segment: string): string {
  return `reroute.${token(lab)}.wire.${token(segment)}.`;
}

export const BROADCAST = 'bcast';

export function commandSubject(lab: string, node: string): string {
  return `reroute.${token(lab)}.cmd.${token(node)}`;
}

export function readySubject(lab: string): string {
  return `reroute.${token(lab)}.ready`;
}

export function bootSubject(lab: string): string {
  return `reroute.${token(lab)}.boot`;
}

export function goneSubject(lab: string): string {
  return `reroute.${token(lab)}.gone`;
}

export function logSubject(lab: string, node: string): string {
  return `reroute.${token(lab)}.log.${token(node)}`;
}

export function logSubjects(lab: string): string {
  return `reroute.${token(lab)}.log.*`;
}

export function logStream(lab: string): string {
  return `REROUTE_LOG_${token(lab)}`;
}

export function storeBucket(lab: string): string {
  return `reroute_${token(lab)}`;
}
