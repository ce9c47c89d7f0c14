/** A command of a page: the words behind `reroute`. */
export interface DocumentedCommand {
  /** Of the page, from 1. */
  readonly line: number;
  readonly words: readonly string[];
}

/** The `reroute …` of a page's code blocks, indented or fenced. */
export function pastedCommands(page: string): DocumentedCommand[] {
  const found: DocumentedCommand[] = [];
  const lines = page.split('\n');
  let fence = false;
  for (let at = 0; at < lines.length; at++) {
    const line = at + 1;
    let text = lines[at]!;
    if (text.startsWith('```')) fence = !fence;
    else if (fence || /^ {4}\S/.test(text)) {
      while (text.endsWith('\\')) text = `${text.slice(0, -1)} ${lines[++at]?.trim() ?? ''}`;
      for (const words of commandsOf(text.trim().replace(/^\$ /, ''))) found.push({ line, words });
    }
  }
  return found;
}

/** The `reroute …` that stand in a page's prose and tables, between backquotes. */
export function quotedCommands(page: string): DocumentedCommand[] {
  const found: DocumentedCommand[] = [];
  for (const [index, text] of page
    .replace(/^```.*?^```/gms, blanked)
    .split('\n')
    .entries()) {
    if (/^ {4}\S/.test(text)) continue;
    for (const [, quoted = ''] of text.matchAll(/`([^`]+)`/g))
      for (const words of commandsOf(quoted.replaceAll('…', 'X').replaceAll('\\|', 'X')))
        found.push({ line: index + 1, words });
  }
  return found;
}

/** As many lines, with nothing on them. */
function blanked(block: string): string {
  return block.replace(/[^\n]+/g, '');
}

/** The words of each `reroute` of a shell's line. */
function commandsOf(text: string): string[][] {
  const inner = [...text.matchAll(/\$\(([^()]*)\)/g)].flatMap(([, command = '']) => commandsOf(command));
  const own = simpleCommands(text.replace(/\$\([^()]*\)/g, 'X'));
  return [...inner, ...own.flatMap((words) => behindReroute(words))];
}

function behindReroute(words: readonly string[]): string[][] {
  const [first = '', second, ...rest] = words[0] === 'npx' ? words.slice(1) : words;
  if (first !== 'reroute' && first !== './reroute') return [];
  return second === undefined ? [] : [[second, ...rest]];
}

/** Splits as a shell does: at blanks, `|`, `;` and `&`, with quotes, comments and redirections. */
function simpleCommands(text: string): string[][] {
  const commands: string[][] = [[]];
  for (const [token, single, double, operator] of text.matchAll(
    /'([^']*)'|"([^"]*)"|(\d?[<>]+&?\s*\S+|[|;&]+)|(?<=^|\s)#.*|[^\s'"|;&<>]+/g,
  )) {
    if (token.startsWith('#')) continue;
    if (operator === undefined) commands.at(-1)!.push(single ?? double ?? token);
    else if (/^[|;&]/.test(operator)) commands.push([]);
  }
  return commands;
}
