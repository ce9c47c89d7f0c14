import { ARP_REPLY, ARP_REQUEST, type ArpPacket, decodeArp, encodeArp } from '../../../protocols/arp.ts';
import { ETH_HLEN, ETHERTYPE_ARP, etherType, writeEthernet } from '../../../protocols/ethernet.ts';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { formatMac, isGroupMac, readMac } from '../../../protocols/mac.ts';
import type { Action } from '../../../protocols/openflow/action.ts';
import { RESERVED_PORTS } from '../../../protocols/openflow/constants.ts';
import type { FlowMod } from '../../../protocols/openflow/message.ts';
import type { ControllerProgram } from '../../config.ts';

/** A switch as a program sees it. Flows are in ovs-ofctl's words. */
export interface ProgramSwitch {
  readonly datapathId: string;
  addFlow(text: string): void;
  flowMod(command: FlowMod['command'], text: string): void;
  packetOut(frame: Uint8Array, inPort: number, actions: readonly Action[]): void;
  /** Calls back when all before is done, with what was refused of it. */
  barrier(done: (error: string | null) => void): void;
}

/** A packet that a switch has given to the controller. */
export interface PuntedPacket {
  readonly frame: Uint8Array;
  readonly inPort: number;
  readonly reason: string;
  readonly table: number;
}

/** What decides: called for every switch that comes, and for every packet that is sent up. */
export interface Program {
  connected(one: ProgramSwitch): void;
  packetIn(one: ProgramSwitch, packet: PuntedPacket): void;
}

interface ProgramHost {
  learned(
    datapathId: string,
    host: { readonly mac: string; readonly port: number; readonly ip: string },
  ): void;
}

/** What no flow takes goes to the controller. */
const TABLE_MISS = 'priority=0,actions=CONTROLLER:65535';
/** How long a learned flow stays without a packet, seconds. */
const IDLE = 60;

export function programOf(name: ControllerProgram, host: ProgramHost): Program {
  switch (name) {
    case 'hub':
      return { connected: (one) => one.addFlow('priority=0,actions=FLOOD'), packetIn: () => {} };
    case 'static':
      return { connected: () => {}, packetIn: () => {} };
    case 'bus':
      return { connected: (one) => one.addFlow(TABLE_MISS), packetIn: () => {} };
    case 'learning-switch':
      return new LearningSwitch(host);
    case 'arp-responder':
      return new ArpResponder(host);
  }
}

interface KnownHost {
  readonly mac: number;
  readonly port: number;
  readonly ip: number;
}

const output = (port: number): Action => ({ type: 'output', port, maxLen: 0 });

/**
 * A MAC table for each switch, as Ryu's simple_switch_13: a packet for a known address makes a flow for its port and its two
 * addresses, any other is flooded.
 */
class LearningSwitch implements Program {
  readonly #host: ProgramHost;
  /** By datapath, then by address. */
  readonly hosts = new Map<string, Map<number, KnownHost>>();

  constructor(host: ProgramHost) {
    this.#host = host;
  }

  connected(one: ProgramSwitch): void {
    one.addFlow(TABLE_MISS);
  }

  packetIn(one: ProgramSwitch, { frame, inPort }: PuntedPacket): void {
    const src = readMac(frame, 6);
    const dst = readMac(frame, 0);
    this.learn(one, src, inPort, frame);
    const known = this.hosts.get(one.datapathId)?.get(dst);
    if (known === undefined || known.port === inPort) {
      if (known === undefined) one.packetOut(frame, inPort, [output(RESERVED_PORTS.FLOOD)]);
      return;
    }
    one.addFlow(
      `priority=1,idle_timeout=${IDLE},in_port=${inPort},dl_src=${formatMac(src)},dl_dst=${formatMac(dst)},actions=output:${known.port}`,
    );
    one.packetOut(frame, inPort, [output(known.port)]);
  }

  learn({ datapathId }: ProgramSwitch, mac: number, port: number, frame: Uint8Array): void {
    if (isGroupMac(mac)) return;
    const hosts = this.hosts.get(datapathId) ?? new Map<number, KnownHost>();
    this.hosts.set(datapathId, hosts);
    const before = hosts.get(mac);
    const ip = arpOf(frame)?.spa ?? before?.ip ?? 0;
    if (before?.port === port && before.ip === ip) return;
    hosts.set(mac, { mac, port, ip });
    this.#host.learned(datapathId, { mac: formatMac(mac), port, ip: ip === 0 ? '' : formatIp4(ip) });
  }
}

/** A learning switch that answers ARP for every host that it knows, of any switch, so that nobody is asked twice (Contiv's agent does so). */
class ArpResponder extends LearningSwitch {
  override packetIn(one: ProgramSwitch, packet: PuntedPacket): void {
    const { frame, inPort } = packet;
    const arp = arpOf(frame);
    const known = arp?.op === ARP_REQUEST ? this.#find(arp.tpa) : undefined;
    if (arp === null || known === undefined || known.mac === arp.sha) {
      super.packetIn(one, packet);
      return;
    }
    this.learn(one, readMac(frame, 6), inPort, frame);
    const reply = new Uint8Array(Math.max(60, frame.length));
    writeEthernet(reply, arp.sha, known.mac, ETHERTYPE_ARP);
    encodeArp(reply, ETH_HLEN, {
      op: ARP_REPLY,
      sha: known.mac,
      spa: arp.tpa,
      tha: arp.sha,
      tpa: arp.spa,
    });
    one.packetOut(reply, RESERVED_PORTS.CONTROLLER, [output(inPort)]);
  }

  #find(ip: number): KnownHost | undefined {
    for (const hosts of this.hosts.values())
      for (const host of hosts.values()) if (host.ip === ip && ip !== 0) return host;
    return undefined;
  }
}

function arpOf(frame: Uint8Array): ArpPacket | null {
  if (etherType(frame) !== ETHERTYPE_ARP) return null;
  return decodeArp(frame, ETH_HLEN, frame.length - ETH_HLEN);
}
