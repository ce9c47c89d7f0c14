import type { IpsetFacts } from '../../../events/ipset.ts';
import { formatOptions } from './format.ts';
import type { SetSpec } from './spec.ts';

/** A set of sets, in an order (ip_set_list_set.c); elements without extensions. */
export class ListSet {
  name: string;
  readonly spec: SetSpec;
  readonly members: string[] = [];

  constructor(name: string, spec: SetSpec) {
    this.name = name;
    this.spec = spec;
  }

  get size(): number {
    return this.members.length;
  }

  facts(): IpsetFacts {
    const elements = this.members.map((element) => ({ element }));
    return { name: this.name, type: this.spec.type, options: formatOptions(this.spec), elements };
  }
}
