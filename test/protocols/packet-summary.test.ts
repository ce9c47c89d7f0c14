import test from 'ava';
import fc from 'fast-check';
import { ARP_REQUEST, encodeArp } from '../../protocols/arp.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { PROTO_TCP, PROTO_UDP, writeIpv4Header } from '../../protocols/ipv4.ts';
import { packetSummary } from '../../protocols/packet-summary.ts';
import { encodeTcp, SYN } from '../../protocols/tcp/segment.ts';
import { writeUdp } from '../../protocols/udp.ts';

const [SRC, DST] = [0x0a000001, 0x0a000002];

function ip(proto: number, payload: Uint8Array, type = ETHERTYPE_IPV4): Uint8Array {
  const frame = new Uint8Array(34 + payload.length);
  writeEthernet(frame, 1, 2, type);
  const header = { src: SRC, dst: DST, proto, ttl: 63, id: 1, tos: 0, df: false };
  writeIpv4Header(frame, 14, { ...header, totalLength: 20 + payload.length });
  frame.set(payload, 34);
  return frame;
}

test('packets in a few words', (t) => {
  const syn = {
    srcPort: 4000,
    dstPort: 80,
    seq: 1,
    ack: 0,
    flags: SYN,
    window: 1,
    urgent: 0,
    payload: new Uint8Array(0),
  };
  t.is(
    packetSummary(ip(PROTO_TCP, encodeTcp(syn, SRC, DST))),
    'TCP 10.0.0.1:4000 > 10.0.0.2:80 [S] length 40 ttl 63',
  );
  const datagram = new Uint8Array(12);
  writeUdp(datagram, 0, SRC, DST, 53, 5353, 4, { checksum: 'compute' });
  t.is(packetSummary(ip(PROTO_UDP, datagram)), 'UDP 10.0.0.1:53 > 10.0.0.2:5353 length 32 ttl 63');
  t.is(packetSummary(ip(PROTO_UDP, datagram, 0)), packetSummary(ip(PROTO_UDP, datagram)));
  t.is(
    packetSummary(ip(1, Uint8Array.of(8, 0, 0, 0, 0, 7, 0, 9))),
    'ICMP 10.0.0.1 > 10.0.0.2 echo request id 7 seq 9 length 28 ttl 63',
  );
  t.is(packetSummary(ip(47, new Uint8Array(8))), 'GRE 10.0.0.1 > 10.0.0.2 length 28 ttl 63');
  const arp = new Uint8Array(42);
  writeEthernet(arp, 1, 2, ETHERTYPE_ARP);
  encodeArp(arp, 14, { op: ARP_REQUEST, sha: 2, spa: SRC, tha: 0, tpa: DST });
  t.is(packetSummary(arp), 'ARP who-has 10.0.0.2 tell 10.0.0.1');
});

test('no bytes make it throw', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => packetSummary(bytes).length > 0));
  t.pass();
});
