import type { Kernel } from '../../kernel/kernel.ts';
import type { Netns } from '../../kernel/netns.ts';
import type { ToolContext } from '../tool.ts';
import { ToolError } from '../tool.ts';
import { EXIT_USAGE } from './words.ts';

/** The namespace whose links a device of the command line can be moved to: by name, or by a process of the host's, 1. */
export function linkNamespace(kernel: Kernel, word: string): Netns | undefined {
  return word === '1' ? kernel.root : word === '' ? undefined : kernel.netns(word);
}

/** A namespace as `ip -n` and `ip netns exec` open it. @throws ToolError */
export function openNamespace({ kernel }: ToolContext, name: string): Netns {
  const ns = name === '' ? undefined : kernel.netns(name);
  if (ns === undefined)
    throw new ToolError(`Cannot open network namespace "${name}": No such file or directory`, EXIT_USAGE);
  return ns;
}
