import test from 'ava';
import fc from 'fast-check';
import { ARP_LEN, encodeArp } from '../../protocols/arp.ts';
import { setU16 } from '../../protocols/bytes.ts';
import { ETH_HLEN, ETHERTYPE_ARP, ETHERTYPE_IPV4, writeEthernet } from '../../protocols/ethernet.ts';
import { parseIp4 } from '../../protocols/ip4.ts';
import { IPV4_HLEN, writeIpv4Header } from '../../protocols/ipv4.ts';
import { BROADCAST_MAC } from '../../protocols/mac.ts';
import { FilterError } from '../../protocols/pcap-filter/lexer.ts';
import { compileFilter } from '../../protocols/pcap-filter/parse.ts';

const MAC_A = 0x0242ac120001;
const MAC_B = 0x0242ac120002;

function ip(text: string): number {
  return parseIp4(text)!;
}

interface Ip {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ports?: readonly [number, number];
  readonly fragmentOffset?: number;
}

function ipFrame({ src, dst, proto, ports, fragmentOffset = 0 }: Ip): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + IPV4_HLEN + 20);
  writeEthernet(frame, MAC_B, MAC_A, ETHERTYPE_IPV4);
  writeIpv4Header(frame, ETH_HLEN, {
    src: ip(src),
    dst: ip(dst),
    proto,
    ttl: 64,
    totalLength: IPV4_HLEN + 20,
    fragmentOffset,
  });
  setU16(frame, ETH_HLEN + IPV4_HLEN, ports?.[0] ?? 0);
  setU16(frame, ETH_HLEN + IPV4_HLEN + 2, ports?.[1] ?? 0);
  return frame;
}

function arpFrame(spa: string, tpa: string): Uint8Array {
  const frame = new Uint8Array(ETH_HLEN + ARP_LEN);
  writeEthernet(frame, BROADCAST_MAC, MAC_A, ETHERTYPE_ARP);
  encodeArp(frame, ETH_HLEN, { op: 1, sha: MAC_A, spa: ip(spa), tha: 0, tpa: ip(tpa) });
  return frame;
}

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.244.7.9';
const frames = {
  bgp: ipFrame({ src: A, dst: B, proto: 6, ports: [40_000, 179] }),
  bgpBack: ipFrame({ src: B, dst: A, proto: 6, ports: [179, 40_000] }),
  vxlan: ipFrame({ src: A, dst: B, proto: 17, ports: [50_000, 8472] }),
  fragment: ipFrame({ src: A, dst: B, proto: 6, ports: [40_000, 179], fragmentOffset: 8 }),
  ping: ipFrame({ src: C, dst: B, proto: 1 }),
  ipip: ipFrame({ src: A, dst: B, proto: 4 }),
  arp: arpFrame(A, B),
};
type Name = keyof typeof frames;
const ALL = Object.keys(frames) as Name[];

function taken(filter: string): Name[] {
  const accepts = compileFilter(filter);
  return ALL.filter((name) => accepts(frames[name]));
}

const cases: readonly (readonly [filter: string, taken: readonly Name[]])[] = [
  ['', ALL],
  ['arp', ['arp']],
  ['ip', ALL.filter((name) => name !== 'arp')],
  ['icmp', ['ping']],
  ['tcp', ['bgp', 'bgpBack', 'fragment']],
  ['udp', ['vxlan']],
  ['ip proto 4', ['ipip']],
  ['ip proto icmp', ['ping']],
  ['tcp port 179', ['bgp', 'bgpBack']],
  ['port 179', ['bgp', 'bgpBack']],
  ['udp port 179', []],
  ['tcp dst port 179', ['bgp']],
  ['src port 179', ['bgpBack']],
  ['src or dst port 179', ['bgp', 'bgpBack']],
  ['src and dst port 179', []],
  ['udp portrange 8000-9000', ['vxlan']],
  ['portrange 179-8472', ['bgp', 'bgpBack', 'vxlan']],
  ['tcp port 22 or 179', ['bgp', 'bgpBack']],
  [`host ${C}`, ['ping']],
  [C, ['ping']],
  [`src host ${B}`, ['bgpBack']],
  [`src ${B}`, ['bgpBack']],
  [`dst ${A}`, ['bgpBack']],
  [`arp host ${A}`, ['arp']],
  [`ip host ${A}`, ['bgp', 'bgpBack', 'vxlan', 'fragment', 'ipip']],
  [`host ${A} and not ip`, ['arp']],
  ['net 10.244.0.0/16', ['ping']],
  ['net 10.244', ['ping']],
  ['src net 10.0.0.0/24', ALL.filter((name) => name !== 'ping')],
  ['net 0.0.0.0/0', ALL],
  ['ether host 02:42:ac:12:00:01', ALL],
  ['ether dst 02:42:ac:12:00:02', ALL.filter((name) => name !== 'arp')],
  ['ether src 02:42:AC:12:00:02', []],
  ['broadcast', ['arp']],
  ['ether broadcast', ['arp']],
  ['multicast', ['arp']],
  ['less 42', ['arp']],
  ['greater 43', ALL.filter((name) => name !== 'arp')],
  ['arp or icmp', ['ping', 'arp']],
  ['arp || icmp', ['ping', 'arp']],
  ['!tcp&&!udp', ['ping', 'ipip', 'arp']],
  ['not (tcp or udp)', ['ping', 'ipip', 'arp']],
  // Equal precedence, to the left: (arp or tcp) and port 179.
  ['arp or tcp and port 179', ['bgp', 'bgpBack']],
  ['arp or (tcp and port 179)', ['bgp', 'bgpBack', 'arp']],
  ['tcp[2:2] = 179', ['bgp']],
  ['tcp[0:2]=179||tcp[2:2]==179', ['bgp', 'bgpBack']],
  ['(tcp[2:2] & 0xff) != 0xb3', ['bgpBack']],
  ['not tcp[2:2] = 179', ALL.filter((name) => name !== 'bgp')],
  // A BPF program that reads past the end returns 0: no frame with TCP, whatever else the filter says.
  ['not tcp[1000] = 179', ALL.filter((name) => name !== 'bgp' && name !== 'bgpBack')],
  ['ip[6:2] & 0x1fff != 0', ['fragment']],
  ['len - 42 = 0', ['arp']],
  ['ether proto 0x0806', ['arp']],
  ['ip proto \\tcp and not ip proto gre', ['bgp', 'bgpBack', 'fragment']],
  ['vlan', []],
  [`src host ${A} or dst host ${A}`, ['bgp', 'bgpBack', 'vxlan', 'fragment', 'ipip', 'arp']],
];

for (const [filter, expected] of cases) {
  test(`'${filter}'`, (t) => {
    t.deepEqual(taken(filter), expected);
  });
}

const mistakes: readonly (readonly [filter: string, says: RegExp])[] = [
  ['vxlan 5', /column 1: 'vxlan' is not known; there are host,/],
  ['vlan 4096', /column 6: '4096' is no VLAN/],
  ['tcp[13] & 2', /column 12: the filter ends where a comparison/],
  ['tcp[13] & 2 and arp', /column 13: 'and' stands where a comparison/],
  ['tcp[13:3] = 0', /column 8: '3' is no size: 1, 2 or 4/],
  ['tcp[13 = 0', /column 1: 'tcp\[' is not closed/],
  ['tcp[tcp-sin] = 0', /column 5: 'tcp-sin' is no number, no constant/],
  ['ip6 host 10.0.0.1', /column 10: '10\.0\.0\.1' is no IPv6 address/],
  ['ip host fd00::1', /column 9: 'fd00::1' is no IPv4 address/],
  ['net fd00::1/64', /column 5: .*bits set beyond its mask; write fd00::\/64/],
  ['ether proto 5', /column 13: '5' is no EtherType/],
  ['host web-1', /column 6: 'web-1' is no IPv4 or IPv6 address; names are not looked up/],
  ['host 10.0.0.0/8', /column 6: .*write net/],
  ['net 10.0.0.1/8', /column 5: .*bits set beyond its mask; write 10\.0\.0\.0\/8/],
  ['net 10.0.0.0.0', /column 5: .*no IPv4 or IPv6 prefix/],
  ['port bgp', /column 6: 'bgp' is no port number/],
  ['port 65536', /column 6: '65536' is no port number/],
  ['portrange 9-8', /column 11: '9-8' is no range/],
  ['icmp port 5', /column 1: 'icmp' does not go with 'port'/],
  ['udp host 10.0.0.1', /column 1: 'udp' does not go with 'host'/],
  ['ether host 10.0.0.1', /column 12: .*no MAC address/],
  ['ether', /column 1: 'ether' stands before/],
  ['tcp port', /column 9: .*a value after 'port'/],
  ['tcp and', /column 8: .*a primitive/],
  ['(arp or icmp', /column 1: this '\(' is not closed/],
  ['arp)', /column 4: '\)' closes nothing/],
  ['arp icmp', /column 5: 'icmp' follows without and, or/],
  ['port and tcp', /column 6: a value is missing before 'and'/],
  ['and arp', /column 1: 'and' stands where none can/],
  ['ip proto constructor', /column 10: 'constructor' is no protocol/],
  ['179', /column 1: '179' is not known/],
];

for (const [filter, says] of mistakes) {
  test(`mistake: '${filter}'`, (t) => {
    t.throws(() => compileFilter(filter), { instanceOf: FilterError, message: says });
  });
}

test('no text but makes a filter or a FilterError, and no frame makes a filter fail', (t) => {
  const words = ['tcp', 'udp', 'arp', 'host', 'net', 'port', 'src', 'dst', 'and', 'or', 'not', '(', ')', '!'];
  const text = fc
    .array(fc.oneof(fc.constantFrom(...words, '10.0.0.1', '10.0.0.0/8', '179', 'ether'), fc.string()))
    .map((parts) => parts.join(' '));
  let compiled = 0;
  fc.assert(
    fc.property(text, fc.uint8Array({ maxLength: 80 }), (filter, bytes) => {
      try {
        const accepts = compileFilter(filter);
        compiled++;
        for (const frame of [bytes, ...Object.values(frames)])
          for (let end = 0; end <= frame.length; end += 3) accepts(frame.subarray(0, end));
      } catch (error) {
        if (!(error instanceof FilterError)) throw error;
      }
    }),
    { numRuns: 1_000 },
  );
  t.true(compiled > 0);
});
