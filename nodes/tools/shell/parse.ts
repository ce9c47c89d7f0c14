/** Where an output goes. */
export type Sink = 'stdout' | 'stderr' | 'null';

export interface SimpleCommand {
  readonly words: readonly string[];
  readonly stdout: Sink;
  readonly stderr: Sink;
}

/** Commands of one pipeline, and when it runs: after the one before it, whatever that came to, or as its exit code says. */
export interface Pipeline {
  readonly when: 'always' | 'succeeded' | 'failed';
  readonly commands: readonly SimpleCommand[];
}

/** What a script holds that there is no shell here to do, or what is wrong with it. */
export class ShellSyntaxError extends Error {
  override readonly name = 'ShellSyntaxError';
}

type Token =
  | { readonly type: 'word'; readonly text: string; readonly quoted: boolean }
  | { readonly type: 'op'; readonly text: string };

/** Stands for `$?` in a word until the command runs. No script can hold it. */
export const EXIT_STATUS = '\u{10ffff}?';

const RESERVED = [
  'if',
  'then',
  'else',
  'elif',
  'fi',
  'for',
  'while',
  'until',
  'do',
  'done',
  'case',
  'esac',
  'function',
  '{',
  '}',
  '!',
  '[[',
  '((',
];

/**
 * Parses a script of sh(1) as far as it goes here: commands with quotes, `|`, `;`, `&&`, `||`, comments, and redirections to
 * /dev/null and between stdout and stderr. Anything else is refused by name. @throws ShellSyntaxError
 */
export function parseScript(text: string): Pipeline[] {
  const tokens = tokenize(text);
  const pipelines: Pipeline[] = [];
  let when: Pipeline['when'] = 'always';
  let commands: SimpleCommand[] = [];
  let words: string[] = [];
  let sinks: { stdout: Sink; stderr: Sink } = { stdout: 'stdout', stderr: 'stderr' };
  const endCommand = (before: string) => {
    if (words.length === 0) throw new ShellSyntaxError(`Syntax error: ${JSON.stringify(before)} unexpected`);
    commands.push({ words, ...sinks });
    words = [];
    sinks = { stdout: 'stdout', stderr: 'stderr' };
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.type === 'word') {
      if (words.length === 0 && !token.quoted) refuseReserved(token.text);
      words.push(token.text);
      continue;
    }
    const redirect = /^([12&]?)(>>?|>&)(.*)$/.exec(token.text);
    if (redirect !== null) {
      const [, fd = '', , to = ''] = redirect;
      const next = tokens[i + 1];
      let target = to;
      if (target === '' && next?.type === 'word') {
        target = next.text;
        i++;
      }
      sinks = redirected(sinks, fd, target);
      continue;
    }
    switch (token.text) {
      case '|':
        endCommand('|');
        break;
      case '\n':
      case ';':
      case '&&':
      case '||':
        if (token.text === '\n' && words.length === 0) break;
        endCommand(token.text);
        pipelines.push({ when, commands });
        commands = [];
        when = token.text === '&&' ? 'succeeded' : token.text === '||' ? 'failed' : 'always';
        break;
      default:
        throw new ShellSyntaxError(`${token.text} is not emulated`);
    }
  }
  if (words.length > 0 || commands.length > 0) {
    endCommand('end of file');
    pipelines.push({ when, commands });
  } else if (when !== 'always') throw new ShellSyntaxError('Syntax error: end of file unexpected');
  return pipelines;
}

function refuseReserved(word: string): void {
  if (RESERVED.includes(word)) throw new ShellSyntaxError(`${word} is not emulated`);
  if (/^[A-Za-z_]\w*=/.test(word)) throw new ShellSyntaxError(`variables are not emulated: ${word}`);
}

function redirected(
  sinks: { readonly stdout: Sink; readonly stderr: Sink },
  fd: string,
  target: string,
): { stdout: Sink; stderr: Sink } {
  const to: Sink | null =
    target === '/dev/null' ? 'null' : target === '&1' ? sinks.stdout : target === '&2' ? sinks.stderr : null;
  if (to === null)
    throw new ShellSyntaxError(
      `redirection to ${target || 'nothing'} is not emulated, only to /dev/null, &1 and &2`,
    );
  if (fd === '&') return { stdout: to, stderr: to };
  return fd === '2' ? { ...sinks, stderr: to } : { ...sinks, stdout: to };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let word: string | null = null;
  let quoted = false;
  const end = () => {
    if (word !== null) tokens.push({ type: 'word', text: word, quoted });
    word = null;
    quoted = false;
  };
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    const rest = text.slice(i);
    if (char === '\\' && text[i + 1] === '\n') i++;
    else if (char === '\\') {
      word = (word ?? '') + (text[++i] ?? '');
      quoted = true;
    } else if (char === "'") {
      const close = text.indexOf("'", i + 1);
      if (close < 0) throw new ShellSyntaxError('Syntax error: Unterminated quoted string');
      word = (word ?? '') + text.slice(i + 1, close);
      quoted = true;
      i = close;
    } else if (char === '"') {
      const { value, length } = doubleQuoted(text.slice(i + 1));
      word = (word ?? '') + value;
      quoted = true;
      i += length;
    } else if (/\s/.test(char)) {
      end();
      if (char === '\n') tokens.push({ type: 'op', text: '\n' });
    } else if (char === '#' && word === null)
      i += (rest.indexOf('\n') < 0 ? rest.length : rest.indexOf('\n')) - 1;
    else if (word === null && /^[12&]?>/.test(rest)) {
      const [match = ''] = /^[12&]?>>?(?:\s*(?:&[12]|[^\s;|&<>"'$`()]+))?/.exec(rest) ?? [];
      tokens.push({ type: 'op', text: match.replace(/>>/, '>').replace(/\s/g, '') });
      i += match.length - 1;
    } else if (char === '>') {
      end();
      i--;
    } else if (/^(&&|\|\||[;|&()<])/.test(rest)) {
      end();
      const op = /^(&&|\|\||[;|&()<])/.exec(rest)![0];
      tokens.push({ type: 'op', text: op });
      i += op.length - 1;
    } else if (char === '$' || char === '`') {
      const { value, length } = expansion(rest);
      word = (word ?? '') + value;
      i += length - 1;
    } else word = (word ?? '') + char;
  }
  end();
  return tokens;
}

/** Behind the opening quote, up to the closing one; `length` counts that in. */
function doubleQuoted(text: string): { readonly value: string; readonly length: number } {
  let value = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === '"') return { value, length: i + 1 };
    if (char === '\\' && /[$`"\\\n]/.test(text[i + 1] ?? '')) value += text[++i] === '\n' ? '' : text[i];
    else if (char === '$' || char === '`') {
      const found = expansion(text.slice(i));
      value += found.value;
      i += found.length - 1;
    } else value += char;
  }
  throw new ShellSyntaxError('Syntax error: Unterminated quoted string');
}

function expansion(text: string): { readonly value: string; readonly length: number } {
  if (text.startsWith('$?')) return { value: EXIT_STATUS, length: 2 };
  const [found] = /^(\$\(|\$\{?\w+\}?|`|\$[@*#!-])/.exec(text) ?? [];
  // A dollar sign that begins nothing is itself.
  if (found === undefined) return { value: text[0]!, length: 1 };
  const what = found === '`' || found === '$(' ? 'command substitution' : 'variables';
  throw new ShellSyntaxError(
    `${what} are not emulated: ${found}`.replace('substitution are', 'substitution is'),
  );
}
