import fc from 'fast-check';
import { ETH_HLEN, ETHERTYPE_IPV4, writeEthernet } from '../../../protocols/ethernet.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const PORTS = ['p0', 'p1', 'p2', 'p3'];
const MACS = [0x0200_0000_0011, 0x0200_0000_0012, 0x0200_0000_0013, 0x0200_0000_0014];
const GROUPS = [0xffff_ffff_ffff, 0x0100_5e01_0203];

const one = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const flag = fc
  .tuple(
    one(...PORTS),
    one('learning', 'flood', 'hairpin', 'isolated', 'mcast_flood', 'bcast_flood'),
    one('on', 'off'),
  )
  .map(([dev, name, value]) => `bridge link set dev ${dev} ${name} ${value}`);
const row = fc
  .tuple(one(...PORTS), one('11', '12', '13'))
  .map(([dev, mac]) => `bridge fdb replace 02:00:00:00:00:${mac} dev ${dev} master static`);
const frame = fc
  .record({ port: fc.nat(PORTS.length - 1), src: one(...MACS), dst: one(...MACS, ...MACS, ...GROUPS) })
  .map(({ port, src, dst }) => {
    const bytes = new Uint8Array(ETH_HLEN + 46).fill(0x61);
    // No protocol that a host would answer.
    writeEthernet(bytes, dst, src, ETHERTYPE_IPV4 + 0x80b5);
    return { port, bytes };
  });

linuxTest('bridges learn, flood, isolate and turn frames round as in Linux', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(flag, flag, row), { maxLength: 8, size: 'max' }),
      fc.array(frame, { minLength: 5, maxLength: 25, size: 'max' }),
      async (settings, frames) => {
        const twin = await Twin.start(
          PORTS.map((name, i) => ({ name, mac: 0x0200_0000_00a0 + i })),
          [
            'ip link add name br0 type bridge',
            ...PORTS.map((dev) => `ip link set ${dev} master br0`),
            'ip link set br0 up',
          ],
        );
        try {
          await twin.all(settings);
          for (const { port, bytes } of frames) await twin.send(port, bytes);
        } finally {
          twin.stop();
        }
      },
    ),
    runs(10, 3),
  );
  t.pass();
});
