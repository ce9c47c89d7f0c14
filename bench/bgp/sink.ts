import { createServer } from 'node:net';
import { Cutter, KEEPALIVE, openMessage, Type } from './wire.ts';
import { TARGET } from './workload.ts';

/**
 * A process that stands in the target's place and does nothing but read, and answer KEEPALIVEs: what the injectors can do at
 * most. Arguments: port, and the UPDATEs after which it tells its parent that all is there.
 */
const [port, updates] = process.argv.slice(2).map(Number);
let left = updates ?? 0;

const server = createServer((socket) => {
  const cutter = new Cutter();
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    cutter.push(chunk, (type) => {
      if (type === Type.open) socket.write(openMessage(TARGET.asn, 0x0a32_ff01, 240));
      if (type === Type.open || type === Type.keepalive) socket.write(KEEPALIVE);
      if (type === Type.update) left--;
    });
    if (left === 0) process.send?.({ type: 'all' });
  });
});
server.listen(port, TARGET.address, () => process.send?.({ type: 'listening' }));
process.once('disconnect', () => process.exit(0));
