import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Child } from '../process.ts';
import { injectorAt, RECEIVER } from '../workload.ts';

export interface StartOptions {
  /** Folder of its own, empty. */
  readonly folder: string;
  readonly port: number;
  readonly injectors: number;
  /** Folder of the bundles that run.mjs has made. */
  readonly build: string;
  /** Options of Node for our own target. */
  readonly nodeOptions: readonly string[];
}

/** A BGP daemon that runs as the target: it waits for all its peers, tells each of them its best paths, installs nothing. */
export interface RunningDaemon {
  readonly child: Child;
  /** Paths of the injectors in its table, asked of the daemon itself. */
  paths(): Promise<number>;
  stop(): Promise<void>;
}

export interface Daemon {
  readonly name: string;
  /** How it counts its paths: by counters that it has, or by going through the table, which holds it up. */
  readonly counting: 'counters' | 'walk';
  /** Null if it is not installed. */
  version(): string | null;
  start(options: StartOptions): Promise<RunningDaemon>;
}

export interface PeerAddress {
  readonly address: string;
  readonly asn: number;
}

/** All peers of the target, the receiver last. */
export function peersOf(injectors: number): PeerAddress[] {
  return [...Array.from({ length: injectors }, (_, i) => injectorAt(i)), RECEIVER];
}

/** First line of a program's `--version` that the expression matches, its first group; null if the program is not there. */
export function versionOf(program: string, expression: RegExp): string | null {
  try {
    accessSync(program, constants.X_OK);
  } catch {
    return null;
  }
  // BIRD writes it to the standard error.
  const text = execFileSync('sh', ['-c', '"$0" --version 2>&1', program], { encoding: 'utf8' });
  return expression.exec(text)?.[1] ?? 'of unknown version';
}
