import fc from 'fast-check';
import { AWAIT_ADDRESSES } from './command.ts';
import { linuxTest, runs } from './suite.ts';
import { Twin } from './twin.ts';

const DEVICES = ['v0', 'w0'];

/** Addresses of every kind that RFC 6724 tells apart, with lengths of prefixes that end before and behind where they differ. */
const ADDRESSES = [
  ...[
    '2001:db8:1::1/64',
    '2001:db8:1:8000::1/64',
    '2001:db8:1::8/127',
    '2001:db8:9::1/48',
    '3fff::1/20',
    '2a00::1/16',
  ],
  ...['fd00:1::1/64', 'fd00:2::1/64', '2002:a00:1::1/64', '2001:0:1::1/64', '2001:10::1/64'],
  ...['fe80::1/64', 'fe80::2/64', '::ffff:10.0.0.1/128', '::10.0.0.1/128', '3ffe::1/64', '2001:20::1/64'],
] as const;

const DESTINATIONS = [
  ...['2001:db8:1::9', '2001:db8:1:8000::9', '2001:db8:1::9:9', '2001:db8:9::9', '3fff::9', '3fff:1000::9'],
  ...[
    '2a00::9',
    'fd00:1::9',
    'fd00:3::9',
    'fec0:1::9',
    '2002:a00:2::9',
    '2001:0:9::9',
    '2001:10::9',
    '2001:20::9',
  ],
  ...['fe80::9', 'ff02::9', 'ff05::9', 'ff0e::9', '::ffff:10.0.0.9', '3ffe::9', '2400::1'],
] as const;

const address = fc.record({
  dev: fc.constantFrom(...DEVICES, 'lo'),
  text: fc.constantFrom(...ADDRESSES),
});

linuxTest('the host speaks from the address that RFC 6724 chooses, as Linux does', async (t) => {
  t.timeout(600_000);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(address, { minLength: 1, maxLength: 9, selector: ({ text }) => text }),
      async (given) => {
        const twin = await Twin.start(
          DEVICES.map((name) => ({ name })),
          [
            ...[...DEVICES, 'lo'].flatMap((dev) => [
              `sysctl -w net.ipv6.conf.${dev}.addr_gen_mode=1`,
              `sysctl -w net.ipv6.conf.${dev}.disable_ipv6=0`,
            ]),
            ...given.map(({ dev, text }) => `ip -6 addr add ${text} dev ${dev} noprefixroute nodad`),
            'ip -6 route add default dev v0',
            'ip -6 route add 2001:db8:1::/48 dev w0',
            'ip -6 route add fd00::/8 dev w0',
          ],
        );
        try {
          await twin.linux.run(AWAIT_ADDRESSES);
          await twin.same('ip -6 addr show', addresses);
          for (const dst of DESTINATIONS) {
            await twin.same(`ip -6 route get ${dst}`, source);
            if (dst.startsWith('f')) await twin.same(`ip -6 route get ${dst} oif w0`, source);
          }
        } finally {
          twin.stop();
        }
      },
    ),
    runs(10, 2),
  );
  t.pass();
});

/** Which source; the rest is the affair of routes. Linux may come down to ::1, with which nobody can be spoken to. */
function source(text: string): string {
  if (!/ dev \S+/.test(text)) return text;
  const [, src = 'none'] = / src (\S+)/.exec(text) ?? [];
  return src === '::1' ? 'none' : src;
}

function addresses(text: string): string {
  return text
    .split('\n')
    .filter((line) => /^ +inet6/.test(line))
    .map((line) => line.trimEnd())
    .join('\n');
}
