// A controller of one's own: a learning switch as a program on the bus, in plain JavaScript.
//
//   reroute up -d examples/openflow-bus.yaml
//   node examples/openflow-controller.mjs openflow-bus
//   reroute exec h1 -- ping -c 3 10.1.0.3
//
// docs/openflow.md has the messages.

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Packr } from 'msgpackr';
import { connect } from 'nats';

const [lab = 'openflow-bus', controller = 'ctl'] = process.argv.slice(2);
const { REROUTE_HOME, XDG_STATE_HOME } = process.env;
const home = REROUTE_HOME ?? join(XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'reroute');
const { packr, nc } = await attach().catch((error) => {
  console.error(`lab ${lab} does not run: ${error.message}`);
  process.exit(1);
});

async function attach() {
  const { bus } = JSON.parse(readFileSync(join(home, 'labs', lab, 'status.json'), 'utf8'));
  const packr = new Packr({ useRecords: false, moreTypes: true, int64AsType: 'number' });
  return {
    packr,
    nc: await connect({ servers: bus.url, ...(bus.token === '' ? {} : { token: bus.token }) }),
  };
}

/** Sends a request to the controller; `cause` is the event that it follows from. */
async function ask(request, cause) {
  const command = { id: crypto.randomUUID(), cause, command: { type: 'openflow', request } };
  const answer = await nc.request(`reroute.${lab}.cmd.${controller}`, packr.pack(command), {
    timeout: 10_000,
  });
  const reply = packr.unpack(answer.data);
  if (reply.type === 'error') throw new Error(reply.message);
  return reply.value;
}

const mac = (frame, at) =>
  Array.from(frame.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, '0')).join(':');
/** Ports by switch and address. */
const seen = new Map();

async function packetIn(id, { datapathId, inPort, data }) {
  const to = mac(data, 0);
  const from = mac(data, 6);
  seen.set(`${datapathId} ${from}`, inPort);
  const port = seen.get(`${datapathId} ${to}`);
  if (port !== undefined) {
    const flow = `priority=1,idle_timeout=60,in_port=${inPort},dl_src=${from},dl_dst=${to},actions=output:${port}`;
    await ask({ op: 'flow-mod', switch: datapathId, command: 'add', flow }, id);
  }
  const actions = port === undefined ? 'FLOOD' : `output:${port}`;
  await ask({ op: 'packet-out', switch: datapathId, inPort, actions, data }, id);
}

const log = nc.subscribe(`reroute.${lab}.log.${controller}`);
const switches = await ask({ op: 'switches' }, 0);
console.log(`ready: ${switches.map(({ name }) => name).join(', ')}`);
for await (const { data } of log) {
  for (const { id, event } of packr.unpack(data)) {
    if (event.type === 'openflow.switch') console.log(`${event.datapathId} is ${event.state}`);
    if (event.type === 'openflow.packet-in')
      packetIn(id, event).catch((error) => console.error(`${event.datapathId}: ${error.message}`));
  }
}
