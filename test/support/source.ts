/** What an import or a purity check needs of a TypeScript source: its code without comments and strings. */
export interface ScannedSource {
  /** The code: comments left out, the n-th string literal as `"n"`, text of templates and regular expressions blanked. */
  readonly code: string;
  readonly strings: readonly string[];
}

/** A `/` behind one of these begins a regular expression, not a division. */
const BEFORE_REGEX = /(^|[(,=:[!&|?{};+\-*%<>~^]|\breturn|\btypeof|\bcase|=>)\s*$/;

export function scanSource(source: string): ScannedSource {
  const strings: string[] = [];
  let code = '';
  let at = 0;
  /** Depths of braces at which the templates that we are inside of go on. */
  const templates: number[] = [];
  let braces = 0;

  const quoted = (quote: string): void => {
    let text = '';
    for (at++; at < source.length && source[at] !== quote; at++) {
      if (source[at] === '\\') at++;
      text += source[at] ?? '';
    }
    at++;
    code += `"${strings.push(text) - 1}"`;
  };
  const template = (): void => {
    for (; at < source.length; at++) {
      if (source[at] === '\\') at++;
      else if (source[at] === '`') {
        at++;
        code += '`';
        return;
      } else if (source.startsWith('${', at)) {
        at += 2;
        templates.push(braces++);
        code += '${';
        return;
      }
    }
  };
  const regex = (): void => {
    let inClass = false;
    for (at++; at < source.length; at++) {
      const char = source[at];
      if (char === '\\') at++;
      else if (char === '[') inClass = true;
      else if (char === ']') inClass = false;
      else if (char === '/' && !inClass) break;
    }
    at++;
    code += '/ /';
  };

  while (at < source.length) {
    const char = source[at]!;
    if (source.startsWith('//', at)) {
      const end = source.indexOf('\n', at);
      at = end < 0 ? source.length : end;
    } else if (source.startsWith('/*', at)) {
      const end = source.indexOf('*/', at + 2);
      at = end < 0 ? source.length : end + 2;
      code += ' ';
    } else if (char === "'" || char === '"') quoted(char);
    else if (char === '`') {
      at++;
      code += '`';
      template();
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(-40))) regex();
    else {
      if (char === '{') braces++;
      if (char === '}') braces--;
      code += char;
      at++;
      if (char === '}' && templates.at(-1) === braces) {
        templates.pop();
        template();
      }
    }
  }
  return { code, strings };
}

/** The specifiers that a source imports or exports from; `null` stands for one that is computed. */
export function importsOf({ code, strings }: ScannedSource): (string | null)[] {
  const found: (string | null)[] = [];
  for (const match of code.matchAll(/\b(?:from|import|require\()\s*"(\d+)"/g))
    found.push(strings[Number(match[1])] ?? null);
  for (const match of code.matchAll(/\bimport\s*\(\s*(?:"(\d+)")?/g))
    found.push(match[1] === undefined ? null : (strings[Number(match[1])] ?? null));
  return found;
}
