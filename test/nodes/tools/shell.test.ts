import test from 'ava';
import fc from 'fast-check';
import { parseScript, ShellSyntaxError } from '../../../nodes/tools/shell/parse.ts';
import { filesOf } from './support/names.ts';
import { run } from './support/run.ts';
import { fixedServers } from './support/servers.ts';
import { routed } from './support/topology.ts';

function lab() {
  const { net, a, b } = routed();
  fixedServers(b.kernel.root, '10.0.2.2');
  const files = filesOf({ '/etc/hosts': '127.0.0.1 localhost\n10.0.2.2 web\n' });
  const sh = (script: string, ms = 1_000) => {
    const started = run(['sh', '-c', script], a.kernel.root, { files });
    net.advance(ms);
    return started;
  };
  return { net, a, sh };
}

/** Output and exit codes as dash 0.5.12 gives them. */
const SCRIPTS: readonly (readonly [script: string, stdout: string, stderr: string, code: number])[] = [
  ['echo hello', 'hello\n', '', 0],
  ['echo a; echo b', 'a\nb\n', '', 0],
  ['echo a;', 'a\n', '', 0],
  ['echo a\n\necho b # c\n', 'a\nb\n', '', 0],
  ["echo 'a  b' \"c 'd\" e\\ f", "a  b c 'd e f\n", '', 0],
  ['true && echo a || echo b', 'a\n', '', 0],
  ['false && echo a || echo b', 'b\n', '', 0],
  ['false; echo $?', '1\n', '', 0],
  ['echo "$?" \'$?\'', '0 $?\n', '', 0],
  ['false', '', '', 1],
  ['exit 7; echo a', '', '', 7],
  ['foo; echo $?', '127\n', 'sh: 1: foo: not found\n', 0],
  ['cat /etc/none 2>/dev/null || echo none', 'none\n', '', 0],
  ['cat /etc/none 2>&1', 'cat: /etc/none: No such file or directory\n', '', 1],
  ['echo a >&2', '', 'a\n', 0],
  ['echo a >/dev/null', '', '', 0],
  ['echo a > /dev/null 2>&1; echo b', 'b\n', '', 0],
  ['cat /etc/none > /dev/null 2>&1', '', '', 1],
  ['cat /etc/hosts | grep web | wc -l', '1\n', '', 0],
  ['cat /etc/hosts | grep -c nothing', '0\n', '', 1],
  ["printf 'a\\tb\\n%s-%d\\n' x 5", 'a\tb\nx-5\n', '', 0],
  ["printf '%s\\n' a b", 'a\nb\n', '', 0],
  ['echo -n a; echo -e "b\\tc"', 'ab\tc\n', '', 0],
  ['echo a | cat', 'a\n', '', 0],
  ['echo costs 5$', 'costs 5$\n', '', 0],
  ['printf "1\\n2\\n3\\n" | tail -n 2 | head -1', '2\n', '', 0],
  ["printf 'Ab\\nxb\\n' | grep -in '^a\\|q'", '1:Ab\n', '', 0],
  ["printf 'ip 10.0.0.1/8 x\\n' | grep -oE '[0-9.]+/[0-9]+'", '10.0.0.1/8\n', '', 0],
];

for (const [i, [script, stdout, stderr, code]] of SCRIPTS.entries()) {
  test(`script ${i}: ${script}`, (t) => {
    const got = lab().sh(script);
    t.is(got.streams.stdout, stdout);
    t.is(got.streams.stderr, stderr);
    t.is(got.code, code);
  });
}

const REFUSED: readonly (readonly [script: string, message: string])[] = [
  ['echo a && ; b', 'Syntax error: ";" unexpected'],
  ['echo "a', 'Syntax error: Unterminated quoted string'],
  ["echo 'a", 'Syntax error: Unterminated quoted string'],
  ['| a', 'Syntax error: "|" unexpected'],
  ['a &&', 'Syntax error: end of file unexpected'],
  ['for i in 1 2; do echo x; done', 'for is not emulated'],
  ['while true; do sleep 1; done', 'while is not emulated'],
  ['echo $HOME', 'variables are not emulated: $HOME'],
  ['echo $(hostname)', 'command substitution is not emulated: $('],
  ['echo `hostname`', 'command substitution is not emulated: `'],
  ['A=b', 'variables are not emulated: A=b'],
  ['sleep 1 &', '& is not emulated'],
  ['(echo a)', '( is not emulated'],
  ['cat < /etc/hosts', '< is not emulated'],
  ['echo a > /tmp/x', 'redirection to /tmp/x is not emulated, only to /dev/null, &1 and &2'],
];

for (const [i, [script, message]] of REFUSED.entries()) {
  test(`refused ${i}: ${script}`, (t) => {
    const got = lab().sh(script);
    t.is(got.streams.stderr, `sh: 1: ${message}\n`);
    t.is(got.code, 2);
  });
}

test('tools that take time run one after the other; a pipe feeds the next', (t) => {
  const { net, sh } = lab();
  const got = sh(
    'sleep 2; ping -c 1 -q web | grep -c received && echo "GET / HTTP/1.0" | nc -N web 80',
    1_900,
  );
  t.is(got.text, '');
  net.advance(2_000);
  t.regex(got.streams.stdout, /^1\nHTTP\/1\.1 200 OK\r\n[\s\S]*hello\n$/);
  t.is(got.code, 0);
});

test('an interrupt ends the command and the script', (t) => {
  const { sh } = lab();
  const got = sh('ping web; echo after', 2_500);
  got.interrupt();
  t.regex(got.text, /3 packets transmitted/);
  t.notRegex(got.text, /after/);
  t.is(got.code, 130);
});

test('how it is called', (t) => {
  const { a } = lab();
  const started = (line: string[]) => run(line, a.kernel.root);
  t.is(
    started(['sh']).streams.stderr,
    'sh: there is no terminal to read commands from: use sh -c "COMMAND"\n',
  );
  t.is(started(['bash', 'x.sh']).streams.stderr, 'sh: x.sh: only -c is emulated\n');
  t.is(started(['sh', '-c']).code, 2);
  t.is(started(['/bin/sh', '-c', '']).code, 0);
  const many = Array.from({ length: 20_000 }, () => 'true').join(';');
  t.is(started(['sh', '-c', many]).code, 0);
});

test('any script is parsed or refused', (t) => {
  const part = fc.constantFrom(
    'echo',
    ' ',
    '"',
    "'",
    '\\',
    '|',
    '||',
    '&&',
    ';',
    '>',
    '2>&1',
    '>/dev/null',
    '$?',
    '$x',
    '`',
    '#',
    '\n',
    '&',
    '(',
    'é',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      try {
        parseScript(parts.join(''));
      } catch (error) {
        if (!(error instanceof ShellSyntaxError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  t.pass();
});

test('without -c, the script is what it can read', (t) => {
  const { net, a } = lab();
  const started = run('sh', a.kernel.root, { stdin: 'echo a\ncat\n' });
  net.advance(10);
  t.is(started.text, 'a\n');
  t.is(started.code, 0);
  t.is(run('sh', a.kernel.root).code, 2);
});
