import { u16 } from '../../../../../protocols/bytes.ts';
import { ETH_HLEN } from '../../../../../protocols/ethernet.ts';
import type { IpFamily } from '../../../../../protocols/ip.ts';
import { ipDst, ipHeaderLength, ipProto, ipSrc } from '../../../../../protocols/ipv4.ts';
import { protocolNumber } from '../../../../../protocols/protocol-names.ts';
import type { Connection } from '../../ipvs/connection.ts';
import { usage } from '../error.ts';
import type { Given, MatchExtension } from '../extension.ts';
import { listNetwork, networkMatch, once, parseNetwork, parsePort } from '../values.ts';

const METHODS = { GATE: 'Route', IPIP: 'Tunnel', MASQ: 'Masq' } as const;

function choice<T extends string>(option: string, found: Given, choices: readonly T[]): T {
  const word = found.values[0] ?? '';
  const chosen = choices.find((one) => one === word.toUpperCase());
  if (chosen === undefined) throw usage(`ipvs: Bad value for "${option}" option: "${word}"`);
  return chosen;
}

interface Condition {
  readonly text: string;
  /** Of a packet's connection, and which way the packet goes in its flow. */
  holds(connection: Connection, direction: 'original' | 'reply' | null): boolean;
}

function conditionsOf(given: readonly Given[], family: IpFamily): Condition[] {
  const conditions: Condition[] = [];
  const add = (
    option: string,
    value: string,
    negated: boolean,
    holds: (connection: Connection, direction: 'original' | 'reply' | null) => boolean,
  ) =>
    conditions.push({
      text: `${negated ? '! ' : ''}--${option} ${value}`,
      holds: (connection, direction) => holds(connection, direction) !== negated,
    });
  const of = (option: string) => once('ipvs', given, option);
  const proto = of('--vproto');
  if (proto !== undefined) {
    const [word = ''] = proto.values;
    const number = protocolNumber(word);
    if (number === null) throw usage(`Protocol "${word}" does not resolve to anything.\n`);
    add('vproto', String(number), proto.negated, (connection) => connection.proto === number);
  }
  const addr = of('--vaddr');
  if (addr !== undefined) {
    const network = parseNetwork(addr.values[0] ?? '', family);
    const contains = networkMatch(network);
    const fits = ({ vaddr }: Connection) => contains(vaddr);
    add('vaddr', listNetwork(network), addr.negated, fits);
  }
  const port = of('--vport');
  if (port !== undefined) {
    const number = parsePort(port.values[0] ?? '', 6);
    add('vport', String(number), port.negated, ({ vport }) => vport === number);
  }
  const dir = of('--vdir');
  if (dir !== undefined) {
    if (dir.negated) throw usage('ipvs: option "--vdir" cannot be inverted.\n');
    const way = choice('--vdir', dir, ['ORIGINAL', 'REPLY']);
    add('vdir', way, false, (_, direction) => direction === (way === 'REPLY' ? 'reply' : 'original'));
  }
  const method = of('--vmethod');
  if (method !== undefined) {
    const how = choice('--vmethod', method, ['GATE', 'IPIP', 'MASQ']);
    add('vmethod', how, method.negated, ({ forward }) => forward === METHODS[how]);
  }
  const control = of('--vportctl');
  if (control !== undefined) {
    const number = parsePort(control.values[0] ?? '', 6);
    add('vportctl', String(number), control.negated, ({ template }) => template?.vport === number);
  }
  return conditions;
}

/**
 * Packets that IPVS has seen to, and what they are of (xt_ipvs.c). All but `--ipvs` look the connection up by client and real
 * server, as the packet stands on its way there (`conn_out_get`, inverse), and hold for none that is not found so.
 */
export const ipvs: MatchExtension = {
  name: 'ipvs',
  options: {
    '--ipvs': 0,
    '--vproto': 1,
    '--vaddr': 1,
    '--vport': 1,
    '--vdir': 1,
    '--vmethod': 1,
    '--vportctl': 1,
  },
  bind(given, { family }) {
    const property = once('ipvs', given, '--ipvs');
    const conditions = conditionsOf(given, family);
    if (property === undefined && conditions.length === 0)
      throw usage('IPVS: At least one option is required');
    if (property?.negated === true && conditions.length > 0)
      throw usage('! --ipvs cannot be together with other options');
    const negated = property?.negated === true;
    const save =
      conditions.length === 0 ? `${negated ? '! ' : ''}--ipvs` : conditions.map(({ text }) => text).join(' ');
    return {
      save,
      list: () => save.replace(/--/g, ''),
      compile: ({ ns }) => {
        if (conditions.length === 0) return (skb) => skb.ipvs !== negated;
        const { connections } = ns.ipvs;
        return ({ frame, ipvs: seen, ct, ctDirection }) => {
          const at = ETH_HLEN + ipHeaderLength(frame, ETH_HLEN);
          if (!seen || frame.length < at + 4) return false;
          const connection = connections.findOut(
            ipProto(frame, ETH_HLEN),
            ipDst(frame, ETH_HLEN),
            u16(frame, at + 2),
            ipSrc(frame, ETH_HLEN),
            u16(frame, at),
          );
          if (connection === null) return false;
          const direction = ct === null ? null : ctDirection === 0 ? 'original' : 'reply';
          return conditions.every((condition) => condition.holds(connection, direction));
        };
      },
    };
  },
};
