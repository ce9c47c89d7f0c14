import { RESERVED_PORTS } from './constants.ts';
import { formatAction, parseActions, splitWords } from './flow-text.ts';
import { BUCKET_NONE, type Bucket, GROUP, GROUP_TYPES, type GroupSpec, type GroupType } from './group.ts';
import { FlowSyntaxError, formatPort, parsePort } from './match-text.ts';

const TYPE_WORDS: Readonly<Record<string, GroupType>> = {
  ...Object.fromEntries(GROUP_TYPES.map((type) => [type, type])),
  fast_failover: 'ff',
};

/**
 * A group as ovs-ofctl(8) writes it: `group_id=1,type=select,bucket=weight:2,actions=output:1,bucket=…`. For one that is
 * only named, `group_id=1` or `group_id=all` or nothing, `what` is 'id'.
 * @throws FlowSyntaxError
 */
export function parseGroup(text: string, what: 'spec' | 'id'): GroupSpec {
  const [head = '', ...tails] = text.split(/(?:^|[\s,])buckets?=/);
  let group: number | null = null;
  let groupType: GroupType | null = null;
  for (const word of head.split(/[\s,]+/).filter((one) => one !== '')) {
    const [, name = '', value] = /^([^=]*)(?:=(.*))?$/.exec(word) ?? [];
    if (name === 'group_id' && value !== undefined) group = parseGroupId(value, what);
    else if (name === 'type' && value !== undefined && what === 'spec') {
      groupType = TYPE_WORDS[value] ?? null;
      if (groupType === null) throw new FlowSyntaxError(`invalid group type ${value}`);
    } else throw new FlowSyntaxError(`unknown keyword ${name}`);
  }
  if (what === 'id') return { group: group ?? GROUP.ALL, groupType: 'all', buckets: [] };
  if (group === null) throw new FlowSyntaxError('must specify a group_id');
  if (groupType === null) throw new FlowSyntaxError('must specify a type');
  const type = groupType;
  const buckets = tails.map((tail) => parseBucket(tail, type));
  if (type === 'indirect' && buckets.length > 1)
    throw new FlowSyntaxError('Indirect groups can have at most one bucket.');
  return { group, groupType, buckets };
}

function parseGroupId(text: string, what: 'spec' | 'id'): number {
  if (text === 'all' && what === 'id') return GROUP.ALL;
  const group = Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || group > GROUP.MAX)
    throw new FlowSyntaxError(`invalid group id ${text}`);
  return group;
}

function parseBucket(text: string, type: GroupType): Bucket {
  let weight = type === 'select' ? 1 : 0;
  let { watchPort, watchGroup }: { watchPort: number; watchGroup: number } = BUCKET_NONE;
  const actions: string[] = [];
  const at = /(?:^|[\s,])actions?=/.exec(text);
  const head = at === null ? text : text.slice(0, at.index);
  for (const word of splitWords(head)) {
    const [, name = '', value = ''] = /^(weight|watch_port|watch_group|bucket_id)[:=](.*)$/.exec(word) ?? [];
    switch (name) {
      case 'weight':
        if (type !== 'select') throw new FlowSyntaxError('Only select groups can have bucket weights.');
        weight = number(name, value, 0xffff);
        break;
      case 'watch_port': {
        const port = parsePort(value);
        if (port === null) throw new FlowSyntaxError(`${value}: invalid watch_port`);
        watchPort = port;
        break;
      }
      case 'watch_group':
        watchGroup = number(name, value, GROUP.MAX);
        break;
      case 'bucket_id':
        break;
      default:
        actions.push(word);
    }
  }
  if (at !== null) actions.push(text.slice(at.index + at[0].length));
  const noLiveness = watchPort === RESERVED_PORTS.ANY && watchGroup === GROUP.ANY;
  if (type === 'ff' && noLiveness)
    throw new FlowSyntaxError('fast failover bucket requires watch_port or watch_group');
  return { weight, watchPort, watchGroup, actions: parseActions(actions.join(',')) };
}

function number(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || value > most)
    throw new FlowSyntaxError(`invalid ${name} "${text}"`);
  return value;
}

/** A group as `dump-groups` shows it, and `parseGroup` reads it. */
export function formatGroup({ group, groupType, buckets }: GroupSpec): string {
  return [
    `group_id=${group},type=${groupType}`,
    ...buckets.map((bucket) => formatBucket(bucket, groupType)),
  ].join(',bucket=');
}

function formatBucket({ weight, watchPort, watchGroup, actions }: Bucket, type: GroupType): string {
  return [
    ...(weight === (type === 'select' ? 1 : 0) ? [] : [`weight:${weight}`]),
    ...(watchPort === RESERVED_PORTS.ANY ? [] : [`watch_port:${formatPort(watchPort)}`]),
    ...(watchGroup === GROUP.ANY ? [] : [`watch_group:${watchGroup}`]),
    `actions=${actions.length === 0 ? 'drop' : actions.map(formatAction).join(',')}`,
  ].join(',');
}
