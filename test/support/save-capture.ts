import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { enhancedPacket, interfaceDescription, sectionHeader } from '../../protocols/pcapng.ts';
import { temporaryFolder } from './nats.ts';

/** Writes frames of one interface to a pcapng file, 1 ms apart; returns its path. */
export function saveCapture(t: ExecutionContext, frames: readonly Uint8Array[], linkType: number): string {
  const file = join(temporaryFolder(t), 'frames.pcapng');
  const info = { linkType, snapLength: 0, name: 'eth0', description: '', mac: 0, filter: '' };
  const packets = frames.map((data, at) =>
    enhancedPacket({
      interfaceId: 0,
      at,
      direction: 'none',
      length: data.length,
      data,
      comment: '',
      linkType,
    }),
  );
  const section = sectionHeader({ hardware: '', os: '', application: 'test', comment: '' });
  writeFileSync(file, Buffer.concat([section, interfaceDescription(info), ...packets]));
  return file;
}
