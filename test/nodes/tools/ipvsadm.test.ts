import test from 'ava';
import { Network } from '../../support/network.ts';
import { run, sh } from '../kernel/netfilter/ipvs-lab.ts';
import { foldOf } from '../kernel/netfilter/lab.ts';

function host() {
  const { kernel, rt } = new Network().host('a');
  return { ns: kernel.root, folds: () => [foldOf(rt), kernel.snapshot()] as const };
}

const TITLE =
  'IP Virtual Server version 1.2.1 (size=4096)\n' +
  'Prot LocalAddress:Port Scheduler Flags\n' +
  '  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n';

/** Expectations are those of print_service_entry and print_title of ipvsadm 1.31. */
test('the list', (t) => {
  const { ns, folds } = host();
  t.is(sh(ns, 'ipvsadm'), TITLE);
  sh(
    ns,
    'ipvsadm -A -u 10.96.0.10:53 -s rr',
    'ipvsadm -A -t 10.96.0.1:443 -s rr -p 10800',
    'ipvsadm -a -t 10.96.0.1:443 -r 192.168.0.11:6443 -m',
    'ipvsadm -a -t 10.96.0.1:https -r 192.168.0.9:6443 -m -w0',
    'ipvsadm -A -f 256 -s sh -b sh-port,sh-fallback',
    'ipvsadm -a -f 256 -r 192.168.0.12 -g -w 65535',
    'ipvsadm -A -t 10.96.0.1:80 -p -M 255.255.255.0',
    'ipvsadm -A -u 10.96.0.10:54 -s lc -o',
  );
  t.is(
    sh(ns, 'ipvsadm -Ln'),
    `${TITLE}TCP  10.96.0.1:80 wlc persistent 360 mask 255.255.255.0
TCP  10.96.0.1:443 rr persistent 10800
  -> 192.168.0.9:6443             Masq    0      0          0         
  -> 192.168.0.11:6443            Masq    1      0          0         
UDP  10.96.0.10:53 rr
UDP  10.96.0.10:54 lc ops
FWM  256 sh (sh-fallback,sh-port)
  -> 192.168.0.12:0               Route   65535  0          0         
`,
  );
  t.is(
    sh(ns, 'ipvsadm -l -t 10.96.0.1:443'),
    `Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.96.0.1:https rr persistent 10800
  -> 192.168.0.9:6443             Masq    0      0          0         
  -> 192.168.0.11:6443            Masq    1      0          0         
`,
  );
  // Without sorting, the newest first.
  t.regex(sh(ns, 'ipvsadm -Ln --nosort'), /0\.9:6443.*\n.*0\.11:6443/);
  t.is(
    sh(ns, 'ipvsadm -S -n'),
    `-A -t 10.96.0.1:80 -s wlc -p 360 -M 255.255.255.0
-A -t 10.96.0.1:443 -s rr -p 10800
-a -t 10.96.0.1:443 -r 192.168.0.9:6443 -m -w 0
-a -t 10.96.0.1:443 -r 192.168.0.11:6443 -m -w 1
-A -u 10.96.0.10:53 -s rr
-A -u 10.96.0.10:54 -s lc -o
-A -f 256 -s sh -b sh-fallback,sh-port
-a -f 256 -r 192.168.0.12:0 -g -w 65535
`,
  );
  t.deepEqual(...folds());
});

test('what is saved is restored', (t) => {
  const { ns, folds } = host();
  const text = '-A -t 10.96.0.1:443 -s rr -p 10800\n-a -t 10.96.0.1:443 -r 192.168.0.9:6443 -m -w 0\n';
  t.is(run(ns, 'ipvsadm -R', `# of yesterday\nipvsadm ${text}\n`).code, 0);
  t.is(sh(ns, 'ipvsadm-save -n'), text);
  sh(ns, 'ipvsadm -A -u 10.96.0.10:53');
  t.is(run(ns, 'ipvsadm-restore', text).code, 0);
  t.is(sh(ns, 'ipvsadm-save -n'), text);
  // What the kernel refuses does not keep the rest from being read.
  const again = run(ns, 'ipvsadm -R', `${text}-A -t 10.96.0.2:443 -s rr\n`);
  t.deepEqual(again, { code: 0, stdout: '', stderr: 'Service already exists\nDestination already exists\n' });
  t.regex(sh(ns, 'ipvsadm -Ln'), /10\.96\.0\.2:443/);
  t.deepEqual(...folds());
});

test('editing and deleting', (t) => {
  const { ns, folds } = host();
  sh(
    ns,
    'ipvsadm -A -t 10.96.0.1:80 -s rr',
    'ipvsadm -a -t 10.96.0.1:80 -r 10.0.0.1:8080 -m',
    'ipvsadm -a -t 10.96.0.1:80 -r 10.0.0.2:8080 -m',
    'ipvsadm -E -t 10.96.0.1:80 -s wrr -p 60',
    'ipvsadm -e -t 10.96.0.1:80 -r 10.0.0.1:8080 -m -w 5 -x 20 -y 10',
    'ipvsadm -d -t 10.96.0.1:80 -r 10.0.0.2:8080',
  );
  t.is(
    sh(ns, 'ipvsadm -Ln --thresholds'),
    `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port            Uthreshold Lthreshold ActiveConn InActConn 
  -> RemoteAddress:Port
TCP  10.96.0.1:80 wrr persistent 60
  -> 10.0.0.1:8080                20         10         0          0         
`,
  );
  t.deepEqual(...folds());
  sh(ns, 'ipvsadm -D -t 10.96.0.1:80');
  t.is(sh(ns, 'ipvsadm -Ln'), TITLE);
  t.deepEqual(...folds());
});

test('timeouts', (t) => {
  const { ns, folds } = host();
  t.is(sh(ns, 'ipvsadm -L --timeout'), 'Timeout (tcp tcpfin udp): 900 120 300\n');
  t.is(sh(ns, 'ipvsadm --set 7200 0 60', 'ipvsadm -L --timeout'), 'Timeout (tcp tcpfin udp): 7200 120 60\n');
  t.deepEqual(...folds());
  t.is(run(ns, 'ipvsadm --set 1 2').stderr, '--set option requires 3 timeout values\n');
});

test('nothing counted yet', (t) => {
  const { ns } = host();
  sh(ns, 'ipvsadm -A -t 10.96.0.1:80 -s rr', 'ipvsadm -a -t 10.96.0.1:80 -r 10.0.0.1:8080 -m');
  t.is(
    sh(ns, 'ipvsadm -Ln --stats'),
    `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.0.1:80                        0        0        0        0        0
  -> 10.0.0.1:8080                       0        0        0        0        0
`,
  );
  t.is(
    sh(ns, 'ipvsadm -Lnc'),
    'IPVS connection entries\npro expire state       source             virtual            destination\n',
  );
});

test('errors', (t) => {
  const { ns } = host();
  sh(ns, 'ipvsadm -A -t 10.96.0.1:80 -s rr', 'ipvsadm -a -t 10.96.0.1:80 -r 10.0.0.1:8080 -m');
  for (const [line, code, stderr] of [
    ['-A -t 10.96.0.1:80', 255, 'Service already exists'],
    ['-A -t 10.96.0.2:80 -s best', 255, 'Scheduler or persistence engine not found'],
    ['-E -t 10.96.0.2:80', 255, 'No such service'],
    ['-D -t 10.96.0.2:80', 255, 'No such service'],
    ['-a -t 10.96.0.2:80 -r 10.0.0.1:1 -m', 255, 'Service not defined'],
    ['-a -t 10.96.0.1:80 -r 10.0.0.1:8080 -m', 255, 'Destination already exists'],
    ['-e -t 10.96.0.1:80 -r 10.0.0.2:8080 -m', 255, 'No such destination'],
    ['-d -t 10.96.0.1:80 -r 10.0.0.2:8080', 255, 'No such destination'],
    ['-a -t 10.96.0.1:80 -r 10.0.0.3:80 -m -x 1 -y 2', 255, 'Numerical result out of range'],
    ['-L -t 10.96.0.2:80', 1, 'No such service'],
    ['-A -t 10.96.0.2', 2, 'Zero port specified for non-persistent service'],
    ['-A -t 10.96.0.2:80 -o', 2, 'One-Packet Scheduling is only for UDP virtual services'],
    ['-A', 2, "You need to supply the 'service-address' option for the 'add-service' command"],
    ['-D -t 10.96.0.1:80 -m', 2, "Illegal 'forwarding-method' option with the 'delete-service' command"],
    ['-A -t 10.96.0.1:80 -t 1.2.3.4:5', 2, "multiple 'service-address' options specified"],
    ['-A -D -t 10.96.0.1:80', 2, 'multiple commands specified'],
    ['-A -t 80', 2, 'illegal virtual server address[:port] specified'],
    ['-a -t 10.96.0.1:80 -r 10.0.0.3:80 -w 65536', 2, 'illegal weight specified'],
    ['-A -t 10.96.0.2:80 -p 0', 2, "invalid timeout value `0' specified"],
    ['-A -f 0', 2, "invalid fwmark value `0' specified"],
    ['-A -t 10.96.0.2:80 -s rr -b sh-port', 2, "incompatible scheduler flag `sh-port'"],
    [
      '-L -c -t 10.96.0.1:80',
      2,
      "The option 'service-address' conflicts with the 'connection' option in the 'list' command",
    ],
    ['-L --stats -c', 2, 'options conflicts in the list command'],
    ['-C now', 2, 'unexpected argument now'],
    ['-n', 255, "Try `ipvsadm -h' or 'ipvsadm --help' for more information."],
    ['-A --sctp-service 10.96.0.1:80', 2, 'SCTP services are not emulated: use -t or -u'],
    ['-A -f 1 -6', 2, 'IPVS for IPv6 is not emulated'],
    ['-A -t [fd00::1]:80', 2, 'IPVS for IPv6 is not emulated'],
  ] as const)
    t.deepEqual(run(ns, `ipvsadm ${line}`), { code, stdout: '', stderr: `${stderr}\n` }, line);
  t.is(sh(ns, 'ipvsadm -S -n').split('\n').length, 3);
});
