import { takesStdin } from '../../nodes/daemons/docker/cli/docker.ts';
import { readStdin } from './target.ts';

/**
 * What a docker command is to read: this process's standard input, where it asks for it by `-i` and it is no terminal's. With `-t` it is
 * a terminal that is asked for, of which there is none.
 */
export async function dockerStdin(words: readonly string[]): Promise<string | undefined> {
  return takesStdin(words) && process.stdin.isTTY !== true ? readStdin() : undefined;
}
