import test from 'ava';
import { parseMac } from '../../../protocols/mac.ts';
import { Network } from '../../support/network.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';

/** The namespace in which the real tools' output was recorded: 10.0.0.1 with a gateway that is not there. */
function lab() {
  const net = new Network();
  const [a, b] = [net.host('a'), net.host('b')];
  net.attach(a, 'lan', 'eth0', '10.0.0.1/24');
  net.attach(b, 'lan', 'eth0', '10.0.0.2/24');
  const { root } = a.kernel;
  root.setMac('eth0', parseMac('02:42:ac:11:00:02') ?? 0);
  run('ip route add default via 10.0.0.254', root);
  const files = filesOf({ '/etc/hosts': '127.0.0.1\tlocalhost\n10.0.0.2\ttomcat\n' });
  const start = (line: string, ms = 0) => {
    const started = run(line, root, { files });
    net.advance(ms);
    return started;
  };
  return { net, root, b: b.kernel.root, start };
}

test('ss, as recorded from iproute2 6.1', (t) => {
  const { start } = lab();
  for (const line of ['nc -l 7005', 'nc -lu 7006', 'nc -l 127.0.0.1 7007']) start(line);
  // nc listens with a backlog of one; here every server has the same.
  const shown = (line: string) => start(line).text.replaceAll('128   ', '1     ');
  t.is(
    shown('ss -tlnpu'),
    `Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
udp   UNCONN 0      0            0.0.0.0:7006      0.0.0.0:*          
tcp   LISTEN 0      1            0.0.0.0:7005      0.0.0.0:*          
tcp   LISTEN 0      1          127.0.0.1:7007      0.0.0.0:*          
`,
  );
  t.is(
    shown('ss -lnu'),
    `State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
UNCONN 0      0            0.0.0.0:7006      0.0.0.0:*          
`,
  );
  t.is(
    shown('ss -H -tln'),
    `LISTEN 0      1        0.0.0.0:7005 0.0.0.0:*
LISTEN 0      1      127.0.0.1:7007 0.0.0.0:*
`,
  );
  t.is(shown('ss -t'), 'State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n');
  t.is(start('ss -Q').code, 255);
  t.is(
    start('ss -t dst 10.0.0.1').streams.stderr,
    "ss: the filter 'dst 10.0.0.1' is not emulated, only 'state STATE'\n",
  );
});

test('netstat, as recorded from net-tools 2.10', (t) => {
  const { start } = lab();
  for (const line of ['nc -l 7005', 'nc -lu 7006', 'nc -l 127.0.0.1 7007']) start(line);
  t.is(
    start('netstat -tuln').text,
    `Active Internet connections (only servers)
Proto Recv-Q Send-Q Local Address           Foreign Address         State      
tcp        0      0 0.0.0.0:7005            0.0.0.0:*               LISTEN     
tcp        0      0 127.0.0.1:7007          0.0.0.0:*               LISTEN     
udp        0      0 0.0.0.0:7006            0.0.0.0:*                          
`,
  );
  t.is(
    start('netstat -rn').text,
    `Kernel IP routing table
Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface
0.0.0.0         10.0.0.254      0.0.0.0         UG        0 0          0 eth0
10.0.0.0        0.0.0.0         255.255.255.0   U         0 0          0 eth0
`,
  );
  t.regex(start('netstat -tlnp').text, /LISTEN {6}- {19}\n/);
});

test('connections by their states', (t) => {
  const { net, b, start } = lab();
  b.listenTcp({ addr: 0, port: 80 }, () => {});
  const open = start('nc 10.0.0.2 80', 100);
  t.regex(
    start('ss -tn').text,
    /^State Recv-Q Send-Q Local Address:Port +Peer Address:PortProcess\nESTAB 0 {6}0 +10\.0\.0\.1:\d+ +10\.0\.0\.2:80 +\n$/,
  );
  t.regex(start('ss -t').text, /10\.0\.0\.2:http /);
  t.regex(start('ss -tan state established').text, /^Recv-Q Send-Q [^\n]*\n0 {6}0 +10\.0\.0\.1:/);
  t.regex(start('netstat -tn').text, /^tcp {8}0 {6}0 10\.0\.0\.1:\d+ +10\.0\.0\.2:80 +ESTABLISHED$/m);
  open.interrupt();
  net.advance(100);
  t.regex(start('netstat -tn').text, / FIN_WAIT2 {2}$/m);
  t.regex(start('ss -tan').text, /^FIN-WAIT-2 /m);
});

test('arp, as recorded', (t) => {
  const { net, b, start } = lab();
  b.setMac('eth0', parseMac('02:42:ac:11:00:03') ?? 0);
  start('ip neigh add 10.0.0.2 lladdr 02:42:ac:11:00:03 dev eth0 nud permanent');
  start('ping -c 1 -W 1 10.0.0.254', 4_000);
  net.advance(10);
  t.is(
    start('arp -n').text.split('\n').sort().join('\n'),
    `
10.0.0.2                 ether   02:42:ac:11:00:03   CM                    eth0
10.0.0.254                       (incomplete)                              eth0
Address                  HWtype  HWaddress           Flags Mask            Iface`,
  );
  t.regex(start('arp', 20).text, /^tomcat {19}ether {3}02:42:ac:11:00:03 {3}CM {20}eth0$/m);
  t.regex(start('arp -a', 20).text, /^tomcat \(10\.0\.0\.2\) at 02:42:ac:11:00:03 \[ether\] PERM on eth0$/m);
  t.regex(start('arp -an').text, /^\? \(10\.0\.0\.254\) at <incomplete> on eth0$/m);
  t.is(start('arp -n 10.0.0.99').text, '10.0.0.99 (10.0.0.99) -- no entry\n');
  t.is(start('arp -s 10.0.0.9 02:00:00:00:00:01').code, 4);
});

test('route and ifconfig, as recorded', (t) => {
  const { root, start } = lab();
  t.is(
    start('route -n').text,
    `Kernel IP routing table
Destination     Gateway         Genmask         Flags Metric Ref    Use Iface
0.0.0.0         10.0.0.254      0.0.0.0         UG    0      0        0 eth0
10.0.0.0        0.0.0.0         255.255.255.0   U     0      0        0 eth0
`,
  );
  t.regex(start('route').text, /^default {9}10\.0\.0\.254 {6}0\.0\.0\.0 {9}UG {4}0 /m);
  t.is(start('route add default gw 10.0.0.2').code, 4);
  // The recorded address was made without a broadcast address, which here comes with the prefix; packets are not counted.
  t.is(
    start('ifconfig eth0').text.replace(/ {8}inet6 fe80.*\n/, ''),
    `eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500
        inet 10.0.0.1  netmask 255.255.255.0  broadcast 10.0.0.255
        ether 02:42:ac:11:00:02  txqueuelen 1000  (Ethernet)

`,
  );
  t.regex(
    start('ifconfig lo').text,
    /^lo: flags=73<UP,LOOPBACK,RUNNING> {2}mtu 65536\n {8}inet 127\.0\.0\.1 {2}netmask 255\.0\.0\.0\n(?: {8}inet6 ::1 {2}prefixlen 128 {2}scopeid 0x10<host>\n)? {8}loop {2}txqueuelen 1000 {2}\(Local Loopback\)\n/,
  );
  t.is(
    start('ifconfig nope').streams.stderr,
    'nope: error fetching interface information: Device not found\n',
  );
  root.setDown('eth0');
  t.false(start('ifconfig').text.includes('eth0'));
  t.regex(start('ifconfig -a').text, /^eth0: flags=4098<BROADCAST,MULTICAST> /m);
});
