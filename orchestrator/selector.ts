/** A label selector in kubectl's equality-based form: `app=web,tier!=cache,canary,!legacy`. */
export type Selector = readonly Requirement[];

type Requirement =
  | { readonly op: 'in' | 'notin'; readonly key: string; readonly value: string }
  | { readonly op: 'exists' | 'absent'; readonly key: string };

const LABEL = /^[A-Za-z0-9]([-._/A-Za-z0-9]*[A-Za-z0-9])?$/;

export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

/** @throws SelectorError naming the part that is not a requirement. */
export function parseSelector(text: string): Selector {
  return text.split(',').map((part): Requirement => {
    const match = /^(!?)\s*([^=!\s]+)\s*(?:(==?|!=)\s*(.*))?$/.exec(part.trim());
    const [, negated, key = '', operator, value = ''] = match ?? [];
    if (
      !LABEL.test(key) ||
      (value !== '' && !LABEL.test(value)) ||
      (negated === '!' && operator !== undefined)
    ) {
      throw new SelectorError(
        `'${part}' is no label requirement; write it as key=value, key!=value, key or !key`,
      );
    }
    if (operator === undefined) return { op: negated === '!' ? 'absent' : 'exists', key };
    return { op: operator === '!=' ? 'notin' : 'in', key, value };
  });
}

export function matches(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every((requirement) => {
    const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
    switch (requirement.op) {
      case 'in':
        return value === requirement.value;
      case 'notin':
        return value !== requirement.value;
      case 'exists':
        return value !== undefined;
      default:
        return value === undefined;
    }
  });
}
