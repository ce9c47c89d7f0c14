import { readFileSync } from 'node:fs';
import type { OfBody } from '../../../../protocols/openflow/message.ts';
import { frameOf, type Packet } from '../../../interop/openflow/generate.ts';
import {
  COUNTERS,
  packetOut,
  type Received,
  type Tables,
  tablesOf,
} from '../../../interop/openflow/messages.ts';

/** What once differed from Open vSwitch. */
export interface OvsCase extends Tables {
  /** What Open vSwitch does, as a sentence: the title of the test. */
  readonly name: string;
  readonly packets: readonly Received[];
}

/** Lines of what came of the tables, the packets and the question for counters. */
export type OvsAnswers = readonly (readonly string[])[];

/** Of the switch that the cases are tried with. */
export const OVS_PORTS = ['p1', 'p2', 'p3'];
export const OVS_RECORD = new URL('recorded/packets.json', import.meta.url);

/** What is asked of a switch, in three steps. */
export function ovsSteps({ packets, ...tables }: OvsCase): OfBody[][] {
  return [tablesOf(tables), packets.map(packetOut), [...COUNTERS]];
}

export function recordedOvs(): Readonly<Record<string, OvsAnswers>> {
  return JSON.parse(readFileSync(OVS_RECORD, 'utf8')) as Record<string, OvsAnswers>;
}

const from1 = (packet: Partial<Packet> = {}): Received => ({
  inPort: 1,
  frame: frameOf({
    ...{ kind: 'udp', src: 1, dst: 2, ttl: 64, tos: 0, srcPort: 53, dstPort: 80 },
    ...packet,
  }),
});

export const OVS_CASES: readonly OvsCase[] = [
  {
    name: 'what was sent goes out, though a later table has no flow for the packet',
    groups: [],
    flows: ['table=0,actions=output:2,goto_table:1', 'table=1,tcp,actions=output:3'],
    packets: [from1(), from1({ kind: 'tcp' })],
  },
  {
    name: 'the action set is carried out, though a later table has no flow for the packet',
    groups: [],
    flows: ['table=0,actions=write_actions(output:2),goto_table:1', 'table=1,tcp,actions=output:3'],
    packets: [from1(), from1({ kind: 'tcp' })],
  },
  {
    name: 'a group is told to be used as often as flows send to it',
    groups: ['group_id=1,type=all,bucket=output:2', 'group_id=2,type=all,bucket=output:3'],
    flows: ['udp,actions=group:1,group:1,write_actions(group:1)', 'tcp,actions=group:1'],
    packets: [from1(), from1({ kind: 'tcp' })],
  },
  {
    name: 'a controller is told of metadata, unless that is 0',
    groups: [],
    flows: [
      'table=0,udp,actions=write_metadata:0x100000003,goto_table:1',
      'table=0,tcp,actions=write_metadata:0,goto_table:1',
      'cookie=7,table=1,actions=controller',
    ],
    packets: [from1(), from1({ kind: 'tcp' })],
  },
  {
    name: 'a bucket knows the metadata of the packet, and its packets are of the flow that sent to the group',
    groups: ['group_id=1,type=all,bucket=controller'],
    flows: ['table=0,actions=write_metadata:0x3,goto_table:1', 'cookie=7,table=1,actions=group:1'],
    packets: [from1()],
  },
  {
    name: 'a packet that the action set sends to a controller is of no flow, and of table 0',
    groups: [],
    flows: ['cookie=7,table=0,actions=goto_table:1', 'cookie=8,table=1,actions=write_actions(controller)'],
    packets: [from1()],
  },
  {
    name: 'without a TTL no table follows, but the action set is carried out',
    groups: [],
    flows: [
      'table=0,actions=write_actions(output:3),goto_table:1',
      'table=1,ip,actions=dec_ttl,output:2,goto_table:2',
      'table=2,actions=output:1',
    ],
    packets: [from1({ ttl: 1 }), from1({ ttl: 2 })],
  },
  {
    name: 'a controller that has not asked is not told that a TTL has run out',
    groups: [],
    flows: ['ip,actions=output:3,dec_ttl,output:2'],
    packets: [from1({ ttl: 1 }), from1({ kind: 'ipv6', ttl: 1 })],
  },
  {
    name: 'a tag that is pushed is of VLAN 0 and priority 0, whatever the one below says',
    groups: [],
    flows: ['tcp,actions=push_vlan:0x8100,output:2', 'udp,actions=push_vlan:0x88a8,output:2'],
    packets: [
      ...(['tcp', 'udp'] as const).flatMap((kind) => [from1({ kind }), from1({ kind, vlan: 5, pcp: 3 })]),
    ],
  },
  {
    name: 'the type of a packet, and what follows from it, are those below all its tags',
    groups: [],
    flows: [
      'table=0,actions=push_vlan:0x8100,set_field:4103->vlan_vid,goto_table:1',
      'table=1,dl_vlan=7,udp,tp_dst=80,actions=set_field:10.0.9.9->ip_dst,output:2',
      'table=1,dl_vlan=7,arp,actions=output:3',
    ],
    packets: [from1({ vlan: 5 }), from1({ kind: 'arp', vlan: 5 }), from1({ kind: 'tcp', vlan: 5 })],
  },
];
