import { readFile } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import type { NodeConfig } from '../../nodes/config.ts';
import { compileLab } from './compile.ts';
import type { CompiledLab } from './compiled.ts';
import { importGraphml } from './graphml.ts';
import { LabError } from './problem.ts';

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder, not a file',
  EACCES: 'it may not be read',
};

/**
 * Text of a file that the user named; `mend` is what to do if it is not there.
 * @throws LabError for a file that cannot be read.
 */
export async function readUserFile(path: string, mend: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const message = UNREADABLE[reason] ?? `it cannot be read (${reason})`;
    throw new LabError([{ file: path, line: 1, column: 1, path: '', message, mend }]);
  }
}

/**
 * Reads and compiles a lab: GraphML where the file's name ends so or its text is XML, a lab file otherwise.
 * @throws LabError also for a file that cannot be read.
 */
export async function loadLab(path: string): Promise<CompiledLab> {
  const text = await readUserFile(path, 'examples/ has labs to start from');
  const isXml = extname(path).toLowerCase() === '.graphml' || /^\uFEFF?\s*</.test(text);
  const lab = isXml ? importGraphml(text, path) : compileLab(text, path);
  return { ...lab, nodes: lab.nodes.map((node) => withDumpBeside(node, dirname(path))) };
}

/** A dump is named from where the lab file is. */
function withDumpBeside(node: NodeConfig, folder: string): NodeConfig {
  if (node.bgp?.originate === undefined) return node;
  const { mrt, peer } = node.bgp.originate;
  return { ...node, bgp: { ...node.bgp, originate: { mrt: resolve(folder, mrt), peer } } };
}
