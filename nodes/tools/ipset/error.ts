import type { IpsetErrno } from '../../kernel/netfilter/ipset/spec.ts';

export const VERSION = 'v7.17';

/** 1: the kernel or the syntax of a value; 2: the words of the command line, after which the hint is said. */
export class IpsetToolError extends Error {
  override readonly name = 'IpsetToolError';
  readonly code: 1 | 2;

  constructor(message: string, code: 1 | 2) {
    super(message);
    this.code = code;
  }
}

export function syntax(message: string): IpsetToolError {
  return new IpsetToolError(`Syntax error: ${message}`, 1);
}

export function parameter(message: string): IpsetToolError {
  return new IpsetToolError(message, 2);
}

/** What ipset says where the kernel refuses (errcode.c). */
export function describe(errno: IpsetErrno): string {
  switch (errno) {
    case 'exists':
      return 'Set cannot be created: set with the same name already exists';
    case 'missing-set':
      return 'The set with the given name does not exist';
    case 'missing-second':
      return 'Sets cannot be swapped: the second set does not exist';
    case 'added-already':
      return "Element cannot be added to the set: it's already added";
    case 'not-added':
      return "Element cannot be deleted from the set: it's not added";
    case 'full':
      return 'Hash is full, cannot add more elements';
    case 'list-full':
      return 'Set is full, more elements cannot be added.';
    case 'range':
      return 'Element is out of the range of the set';
    case 'busy':
      return 'Set cannot be destroyed: it is in use by a kernel component';
    case 'referenced':
      return 'Set cannot be renamed: it is in use by another system';
    case 'rename-exists':
      return 'Set cannot be renamed: a set with the new name already exists';
    case 'type-mismatch':
      return 'The sets cannot be swapped: their type does not match';
    case 'no-timeout':
      return 'Timeout cannot be used: set was created without timeout support';
    case 'no-counters':
      return 'Packet/byte counters cannot be used: set was created without counter support';
    case 'no-comment':
      return 'Comment cannot be used: set was created without comment support';
    case 'null-element':
      return 'Null-valued element, cannot be stored in a hash type of set';
    case 'cidr':
      return 'The value of the CIDR parameter of the IP address is invalid';
    case 'element-set':
      return 'Set to be added/deleted/tested as element does not exist.';
    case 'list-in-list':
      return 'Sets with list:set type cannot be added to the set.';
    case 'reference-set':
      return 'No reference set specified.';
  }
}
