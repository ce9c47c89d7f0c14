import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { OfConn } from '../../../nodes/daemons/openflow/ofconn.ts';
import { runOvs } from '../../../nodes/daemons/openflow/ovs.ts';
import { Vswitchd } from '../../../nodes/daemons/openflow/vswitchd.ts';
import { u32 } from '../../../protocols/bytes.ts';
import { OpenFlowError } from '../../../protocols/openflow/constants.ts';
import { decodeOpenFlow } from '../../../protocols/openflow/decode.ts';
import { encodeOpenFlow } from '../../../protocols/openflow/encode.ts';
import { OpenFlowFramer } from '../../../protocols/openflow/framer.ts';
import type { OfBody } from '../../../protocols/openflow/message.ts';
import { EmulatedPorts, type Out } from '../../support/router.ts';
import type { Result } from './ovs.ts';

/** A switch of ours by itself, with the ports that Open vSwitch has beside it. */
export class OurSwitch {
  readonly ports: EmulatedPorts;
  readonly vswitchd: Vswitchd;
  /** What a controller is sent unasked. */
  readonly #unasked: OfBody[] = [];
  readonly #conn = new OfConn('tcp:controller', (body) => this.#unasked.push(body));
  #server: Server | null = null;

  constructor(names: readonly string[]) {
    this.ports = new EmulatedPorts(names.map((name, i) => ({ name, mac: 0xaa55aa550002 + i })));
    this.vswitchd = new Vswitchd(this.ports.rt, this.ports.root, {
      bridge: 'br0',
      datapathId: '0000000000000001',
      ports: names,
      controller: '',
      failMode: 'secure',
      inactivityProbe: 5_000,
      backoff: 1_000,
      maxBackoff: 8_000,
    });
    this.vswitchd.start();
    this.ports.root.setUp('br0');
    this.vswitchd.ofproto.attach(this.#conn);
  }

  /** As OpenVswitch.send. */
  send(bodies: readonly OfBody[]): { answers: OfBody[]; frames: Out[]; unasked: OfBody[] } {
    const frames: Out[] = [];
    const local = this.ports.root.links.require('br0');
    const tap = {
      seen: (direction: 'in' | 'out', frame: Uint8Array) =>
        direction === 'in' && frames.push({ port: 0, frame: frame.slice() }),
    };
    local.addTap(tap);
    const answers: OfBody[] = [];
    const out = this.ports.during(() => {
      for (const body of bodies) answers.push(...this.vswitchd.request(body));
    });
    local.removeTap(tap);
    frames.push(...out.map(({ port, frame }) => ({ port: port + 1, frame })));
    return { answers, frames, unasked: this.#unasked.splice(0) };
  }

  /** Our own ovs-ofctl. */
  ofctl(args: readonly string[]): Result {
    return runOvs('ovs-ofctl', args, this.vswitchd);
  }

  /** Takes connections of real programs; resolves to the port. */
  async listen(): Promise<number> {
    const server = createServer((socket) => {
      const framer = new OpenFlowFramer();
      const write = (xid: number, body: OfBody) => socket.write(encodeOpenFlow({ xid, body }));
      write(1, { type: 'hello', versions: 1 << 4 });
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        for (const message of framer.push(bytes))
          for (const answer of this.#answers(message)) write(u32(message, 4), answer);
      });
    });
    this.#server = server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server?.close();
  }

  #answers(bytes: Uint8Array): OfBody[] {
    try {
      const { body } = decodeOpenFlow(bytes);
      if (body.type === 'hello') return [];
      if (body.type === 'echo_request') return [{ type: 'echo_reply', data: body.data }];
      return this.vswitchd
        .request(body)
        .map((answer) => (answer.type === 'error' ? { ...answer, data: bytes } : answer));
    } catch (error) {
      if (!(error instanceof OpenFlowError)) throw error;
      return [{ type: 'error', errorType: error.errorType, code: error.code, data: bytes }];
    }
  }
}
