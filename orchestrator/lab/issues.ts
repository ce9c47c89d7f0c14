import type { z } from 'zod';
import type { Path, Reporter } from './problem.ts';
import { LABEL_VALUE, show } from './schema-types.ts';
import { suggest } from './suggest.ts';

type Issue = z.core.$ZodIssue;

/** What to write for a key that must be there. */
const EXAMPLES: Readonly<Record<string, string>> = {
  name: 'my-lab',
  topology: '{nodes: {n1: {kind: router}}}',
  nodes: '{n1: {kind: router}}',
  endpoints: '["n1:eth1", "n2:eth1"]',
  subnet: '192.168.0.0/24',
  cni: 'calico',
  replicas: '3',
  perNode: '3',
  dst: '0.0.0.0/0',
  via: '172.18.18.1',
  spines: '2',
  leaves: '4',
  kind: 'cluster',
};

/** Reports what zod found wrong with `raw` in the words of a lab file. */
export function reportIssues(
  issues: readonly Issue[],
  raw: unknown,
  reporter: Reporter,
  base: Path = [],
): void {
  for (const issue of issues) reportIssue(issue, raw, reporter, base);
}

function reportIssue(issue: Issue, raw: unknown, reporter: Reporter, base: Path): void {
  const path: Path = [...base, ...issue.path.filter((part) => typeof part !== 'symbol')];
  const input = valueAt(raw, path);
  const key = String(path.at(-1) ?? '');
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const unknown of issue.keys) {
        const mend = suggest(unknown, issue.message.split(' '));
        reporter.problem([...path, unknown], `unknown key '${unknown}'`, mend, 'key');
      }
      return;
    case 'invalid_key':
      for (const inner of issue.issues) reporter.problem(path, inner.message, mendOf(inner), 'key');
      return;
    case 'invalid_union': {
      if (issue.errors.length === 0 && input !== undefined) {
        const options = ('options' in issue ? (issue.options ?? []) : []).map(String);
        reporter.problem(
          path,
          `${show(input)} is none of ${options.join(', ')}`,
          suggest(String(input), options),
        );
        return;
      }
      const inside = issue.errors.find((errors) => errors.every((error) => error.path.length > 0));
      if (inside !== undefined && inside.length > 0) {
        reportIssues(inside, raw, reporter, path);
        return;
      }
      break;
    }
    case 'custom':
      if (input === undefined) break;
      reporter.problem(path, issue.message, mendOf(issue));
      return;
    default:
  }
  if (input === undefined) {
    const example = EXAMPLES[key];
    reporter.missing(path, 'missing', example === undefined ? `add ${key}` : `add ${key}: ${example}`);
    return;
  }
  const { message, mend } = describe(issue, input);
  reporter.problem(path, message, mend);
}

function describe(issue: Issue, input: unknown): { readonly message: string; readonly mend: string } {
  switch (issue.code) {
    case 'invalid_type': {
      const mend = issue.message === LABEL_VALUE ? LABEL_VALUE : '';
      return { message: `expected ${wordFor(issue.expected)}, not ${show(input)}`, mend };
    }
    case 'invalid_value': {
      const options = issue.values.map(String);
      return {
        message: `${show(input)} is none of ${options.join(', ')}`,
        mend: suggest(String(input), options),
      };
    }
    case 'invalid_union': {
      const options = issue.errors.flatMap((errors) => errors.slice(0, 1).map(expectationOf));
      return { message: `expected ${options.join(' or ')}, not ${show(input)}`, mend: '' };
    }
    case 'too_small':
    case 'too_big': {
      const [bound, word] = issue.code === 'too_small' ? [issue.minimum, 'least'] : [issue.maximum, 'most'];
      if (Array.isArray(input)) {
        return { message: `expected ${bound} items, not ${input.length}`, mend: '' };
      }
      return { message: `${show(input)} is out of range`, mend: `it is ${bound} at ${word}` };
    }
    default:
      return { message: issue.message, mend: '' };
  }
}

function expectationOf(issue: Issue): string {
  if (issue.code === 'invalid_value') return issue.values.map((value) => `'${String(value)}'`).join(', ');
  return issue.code === 'invalid_type' ? wordFor(issue.expected) : issue.message;
}

function wordFor(expected: string): string {
  const words: Readonly<Record<string, string>> = {
    object: 'a map',
    record: 'a map',
    array: 'a list',
    tuple: 'a list',
    string: 'text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
  };
  return words[expected] ?? expected;
}

function mendOf(issue: Issue): string {
  const mend: unknown = issue.code === 'custom' ? issue.params?.mend : undefined;
  return typeof mend === 'string' ? mend : '';
}

function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
    value = Reflect.get(value, step);
  }
  return value;
}
