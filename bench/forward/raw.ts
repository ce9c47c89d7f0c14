import { connect } from 'nats';

/** One end of the raw measurement: publishes as fast as the server takes it, or counts what comes. */
async function main(): Promise<void> {
  const [role = '', url = '', token = '', sizeText = '', countText = ''] = process.argv.slice(2);
  const [size, count] = [Number(sizeText), Number(countText)];
  const nc = await connect({ servers: url, token });
  if (role === 'subscribe') {
    let got = 0;
    let first = 0;
    nc.subscribe('frames.>', {
      callback: () => {
        if (got++ === 0) first = performance.now();
        if (got === count) process.send?.({ took: performance.now() - first });
      },
    });
    await nc.flush();
    process.send?.({ ready: true });
    return;
  }
  const frame = new Uint8Array(size);
  for (let i = 0; i < count; i++) {
    nc.publish('frames.lan.020000000001', frame);
    if (i % 1024 === 0) await nc.flush();
  }
  await nc.flush();
  process.send?.({ sent: true });
}

void main();
