import { AddressBook } from '../address-book.ts';
import { findContainer, listContainers } from '../containers.ts';
import { findPod, listPods, podName } from '../pods.ts';
import { NodeDownError, type RunningLab } from '../running-lab.ts';

/** Where a command is to run: a node itself (`pod` is ''), a pod on it, or a container of its Docker Engine. */
export interface Target {
  readonly node: string;
  readonly pod: string;
}

export class TargetError extends Error {
  override readonly name = 'TargetError';
}

/**
 * Finds a node, a pod or a container by what the user wrote, with or without an `@`: a node's name, a pod's, `namespace/name`,
 * `node/container`, or a container's name that no other has. @throws TargetError
 */
export async function resolveTarget(lab: RunningLab, written: string): Promise<Target> {
  const text = written.replace(/^@/, '');
  const nodes = await lab.nodes();
  const node = nodes.find((info) => info.name === text);
  if (node !== undefined) {
    if (node.state === 'down') throw new NodeDownError(text);
    return { node: text, pod: '' };
  }
  const pod = findPod(await listPods(lab), text);
  if (pod === undefined) {
    const slash = text.indexOf('/');
    const host = nodes.find((info) => info.name === text.slice(0, slash));
    if (host !== undefined) return { node: host.name, pod: text.slice(slash + 1) };
    const container = findContainer(await listContainers(lab), text, null);
    if (container !== undefined) return { node: container.node, pod: container.facts.name };
    throw new TargetError(
      `there is no node, pod or node/container ${text}; reroute get nodes, pods and containers list them`,
    );
  }
  return { node: pod.spec.node, pod: podName(pod) };
}

/**
 * Puts the addresses of pods, nodes and containers for words like `@web-1`, so that one need not look them up: of IPv6 with `-6`,
 * and of a container in several networks that which `from` has too. @throws TargetError
 */
export async function withAddresses(
  lab: RunningLab,
  argv: readonly string[],
  from: Target | null = null,
): Promise<string[]> {
  if (!argv.some((word) => word.includes('@'))) return [...argv];
  const book = await AddressBook.open(lab, from);
  const family = wantsIpv6(argv) ? 'IPv6' : 'IPv4';
  return putAddresses(argv, (name) => book.addressOf(name, family));
}

/** `-6`, alone or among other letters (`-6zv`, `-sv6`), in a script too, and iperf's `-V`. */
export function wantsIpv6(argv: readonly string[]): boolean {
  if (argv[0]?.split('/').at(-1) === 'iperf' && argv.includes('-V')) return true;
  return argv.some((word) => /(?:^|\s)-[gklnsuvzSIL]*6[a-zA-Z]*(?=\s|$)/.test(word));
}

/** `@name`, `@namespace/pod` or `@node/container` within a word: in a URL, behind a blank or a quote of a script. */
const MENTION = /(\/\/|[\s'"])@([a-zA-Z0-9][-\w.]*)(\/[a-zA-Z0-9][-\w.]*)?/g;

/**
 * The same with the addresses given, '' for none. A word that begins with `@` has to name something, but for dig's servers, which
 * keep their `@`; within a word only what names something is replaced. @throws TargetError
 */
export async function putAddresses(
  argv: readonly string[],
  addressOf: (name: string) => Promise<string>,
): Promise<string[]> {
  const forDig = argv[0]?.split('/').at(-1) === 'dig';
  return Promise.all(
    argv.map(async (word) => {
      if (!word.startsWith('@')) return putMentioned(word, addressOf);
      const address = await addressOf(word.slice(1));
      if (forDig) return address === '' ? word : `@${address}`;
      if (address !== '') return address;
      throw new TargetError(
        `there is no running pod, container or node ${word.slice(1)}; reroute get pods, containers and nodes list them`,
      );
    }),
  );
}

async function putMentioned(word: string, addressOf: (name: string) => Promise<string>): Promise<string> {
  let result = '';
  let end = 0;
  for (const { 0: all, 1: before = '', 2: name = '', 3: further = '', index } of word.matchAll(MENTION)) {
    const find = async (text: string) => inUrl(before, await addressOf(text));
    const whole = await find(`${name}${further}`);
    const own = whole === '' && further !== '' ? await find(name) : '';
    const put = whole !== '' ? `${before}${whole}` : own === '' ? all : `${before}${own}${further}`;
    result += word.slice(end, index) + put;
    end = index + all.length;
  }
  return result + word.slice(end);
}

/** An IPv6 address is in brackets within a URL (RFC 3986 §3.2.2). */
function inUrl(before: string, address: string): string {
  return before === '//' && address.includes(':') ? `[${address}]` : address;
}

/** Most bytes of a standard input: what a message of the bus holds, with room for the rest. */
const STDIN_MAX = 4 * 1024 * 1024;

/** Reads this process's standard input to its end. @throws TargetError */
export async function readStdin(): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    parts.push(part);
    length += part.length;
    if (length > STDIN_MAX) throw new TargetError('exec -i takes no more than 4 MiB');
  }
  return Buffer.concat(parts).toString();
}

/** Runs a command line in a target, its output to this process's. Ctrl-C goes to the command. Resolves to its exit code. */
export async function execIn(
  lab: RunningLab,
  target: Target,
  argv: readonly string[],
  stdin?: string,
): Promise<number> {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.on('SIGINT', onInterrupt);
  try {
    const reply = await lab.command(
      target.node,
      { type: 'exec', pod: target.pod, argv, ...(stdin === undefined ? {} : { stdin }) },
      {
        signal: stop.signal,
        onReply: (part) => {
          if (part.type === 'stdout') process.stdout.write(part.text);
          if (part.type === 'stderr') process.stderr.write(part.text);
        },
      },
    );
    if (reply.type === 'error') throw new TargetError(reply.message);
    return reply.type === 'exit' ? reply.code : 0;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}
