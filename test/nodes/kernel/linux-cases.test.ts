import test, { type ExecutionContext } from 'ava';
import { runIptables } from '../../../nodes/tools/iptables/iptables.ts';
import { split } from '../../../nodes/tools/iptables/restore.ts';
import { setU16 } from '../../../protocols/bytes.ts';
import { internetChecksum } from '../../../protocols/checksum.ts';
import { EmulatedRouter } from '../../support/router.ts';
import { run } from '../tools/support/run.ts';

/** What once differed from Linux 6.18 in `test/interop/linux`: the frames into a router, and what Linux sent for them. */

const router = () => new EmulatedRouter();

function iptables({ root }: EmulatedRouter, line: string): number {
  return runIptables(root, split(line)).code;
}

/** What comes out, the IP id and checksum left out, as port and hex from the IP header on. */
function sent(at: EmulatedRouter, port: number, hex: string): string[] {
  const frame = Uint8Array.from(Buffer.from(`0200000000010200000000020800${hex}`, 'hex'));
  setU16(frame, 24, 0);
  setU16(frame, 24, internetChecksum(frame, 14, 20));
  return at.send(port, frame).map((out) => {
    const ip = Buffer.from(out.frame.subarray(14)).toString('hex');
    return `${out.port} ${ip.slice(0, 8)}${ip.slice(12, 20)}${ip.slice(24)}`;
  });
}

const UDP_BACK = '45100023126740004011104f0a0002020a00020363cf1f90000f384b08090a0b0c0d0e';
const BACK_ON = '1 4510002340003f110a0002020a00020363cf1f90000f384b08090a0b0c0d0e';

test('a redirect quotes the packet with its TTL as it goes on', (t) => {
  t.deepEqual(
    sent(
      router(),
      1,
      '4500002c12670000400650640a0002020a00020254160050000f42400000000060022000c96d0000020405b4',
    ),
    [
      '1 45c00048000040010a0002010a0002020501071f0a0002024500002c126700003f0651620a0002020a00020254160050000f42400000000060022000c96d0000020405b4',
      '1 4500002c00003f060a0002020a00020254160050000f42400000000060022000c96d0000020405b4',
    ],
  );
});

test('an ICMP error keeps the bits of the type of service', (t) => {
  const [redirect] = sent(router(), 1, UDP_BACK);
  t.is(redirect?.slice(0, 10), '1 45d0003f');
});

test('a redirect about a flow that NAT may move does not go out', (t) => {
  const at = router();
  iptables(at, '-t nat -A PREROUTING -d 10.96.0.10 -p tcp -j DNAT --to-destination 10.0.2.3:8080');
  t.deepEqual(sent(at, 1, UDP_BACK), [BACK_ON]);
});

test('a reset where nobody listens has the DSCP of what it answers, without ECN', (t) => {
  const answer = (tos: string) =>
    sent(
      router(),
      0,
      `45${tos}002f12670000400652${tos === '03' ? '5d' : '50'}0a0001020a0001014bf61f90000f424000000000500220006fbe00001415161718191a`,
    );
  t.is(answer('03')[0]?.slice(0, 6), '0 4500');
  t.is(answer('10')[0]?.slice(0, 6), '0 4510');
});

test('REJECT says nothing about a packet whose checksum is wrong', (t) => {
  const at = router();
  iptables(at, '-A FORWARD -p icmp -j REJECT');
  const echo = (sum: string) => sent(at, 0, `4500001c12670000400151770a0001020a0002020800${sum}4d110001`);
  t.deepEqual(echo('aa9d'), []);
  t.is(echo('aaed').length, 1);
});

function tellsOf(t: ExecutionContext, reject: string, says: string): void {
  const at = router();
  for (const rule of [
    '-t nat -A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to-destination 10.0.2.2:99',
    '-A OUTPUT -m conntrack --ctstate RELATED -j ACCEPT',
    '-A OUTPUT -j DROP',
    `-A FORWARD -p udp -j REJECT ${reject}`,
  ])
    t.is(iptables(at, rule), 0);
  // To 10.96.0.10:53, of whose NAT the sender is not to hear.
  const [error] = sent(at, 0, '4500001c1267000040110000' + '0a0001020a60000a' + '0409003500080000');
  t.regex(error ?? 'nothing', new RegExp(`^0 45c0.*0a60000a0a000102${says}`));
  t.regex(error ?? '', /0a0001020a60000a04090035/);
}

test('what REJECT says belongs to the flow, translated, before the flow is in the table', (t) => {
  tellsOf(t, '', '0303');
  tellsOf(t, '--reject-with icmp-host-prohibited', '030a');
});

test('a limit of more credits than Linux has bits for is refused', (t) => {
  const at = router();
  for (const refused of [
    '--limit 1/day',
    '--limit 1/day --limit-burst 4',
    '--limit 1/day --limit-burst 10000',
  ])
    t.is(iptables(at, `-A FORWARD -m limit ${refused}`), 1, refused);
  t.is(iptables(at, '-A FORWARD -m limit --limit 1/hour'), 0);
});

test('a gateway is looked for among the routes that lead to no other gateway', (t) => {
  const { root } = router();
  const ip = (line: string) => run(`ip route add ${line}`, root).text;
  t.is(ip('10.0.2.0/25 via 10.0.2.2'), '');
  t.is(ip('10.0.2.0/26 via 10.0.2.2 metric 100'), '');
  t.is(ip('172.16.0.0/12 via 10.0.2.3'), '');
  t.is(ip('172.17.0.0/16 via 172.16.0.1'), 'Error: Nexthop has invalid gateway.\n');
});
