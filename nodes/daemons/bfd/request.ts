import type { BfdParameters, BfdRole } from '../../../protocols/bfd/host.ts';
import { familyOf, formatIp, type IpAddress } from '../../../protocols/ip.ts';
import { ANY_IP6 } from '../../../protocols/ip6.ts';
import { formatScoped, isLinkLocalAddress } from '../../../protocols/scoped-address.ts';
import type { BfdIntervals, BfdMode, BfdSessionState } from '../../events/bfd.ts';

/** A session that a client asks for. */
export interface BfdRequest {
  /** Address of the node. */
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /**
   * Single hop: the device that the peer's first packets are to come in by; any if absent. Link-local addresses are of its link.
   */
  readonly device?: string;
  readonly mode: BfdMode;
  /** Of a real daemon: the neighbour's name, by which the shell knows where its packets really go. */
  readonly external?: string;
  /** Desired Min TX, ms; in use once the session is up. */
  readonly minTx: number;
  /** Required Min RX, ms. */
  readonly minRx: number;
  /** Detect Mult, 1 to 255. */
  readonly multiplier: number;
  /** 'active' if absent. */
  readonly role?: BfdRole;
}

/** What a client is told of its session. */
export interface BfdStatus extends BfdIntervals {
  readonly state: BfdSessionState;
  /** Why it is in that state, in the words of RFC 5880 §4.1; so is the peer's. */
  readonly diag: string;
  readonly remoteState: BfdSessionState;
  readonly remoteDiag: string;
  /**
   * The session was up and is down, and neither end wanted it so: the path to the peer, or the peer, has failed, and what
   * depends on it is to be torn down. False where one end was shut down by its administrator (RFC 5882 §3.2, §4.3).
   */
  readonly pathFailed: boolean;
  /** The peer's BFD goes on when its control plane does not: a failure is the path's then (RFC 5882 §4.3.2). */
  readonly remoteIndependent: boolean;
}

/** A client's hold on a session. */
export interface BfdClient {
  /** As it is now; `pathFailed` is false here, for it belongs to a change. */
  readonly status: BfdStatus;
}

/** Longest interval that the wire can carry, ms. */
const LONGEST = 0xffffffff / 1000;

export class BfdConfigError extends Error {
  override readonly name = 'BfdConfigError';
}

/** @throws BfdConfigError if a session cannot be what is asked for; it names the peer and the mend. */
export function checkRequest({ local, remote, device, minTx, minRx, multiplier }: BfdRequest): void {
  const fault = (text: string) => new BfdConfigError(`BFD with ${formatIp(remote)}: ${text}`);
  const nobody = [local, remote].find((address) => address === 0 || address === ANY_IP6);
  if (nobody !== undefined)
    throw fault(`a session has two addresses, and ${formatIp(nobody)} is neither; name both`);
  if (familyOf(local) !== familyOf(remote))
    throw fault(`${formatIp(local)} is of the other family; name an address of the same`);
  if (isLinkLocalAddress(remote) && device === undefined)
    throw fault('the address is of a link; name the device');
  if (!Number.isInteger(multiplier) || multiplier < 1 || multiplier > 255)
    throw fault(`a multiplier is a whole number from 1 to 255, and ${multiplier} is none`);
  for (const [name, value] of [
    ['minTx', minTx],
    ['minRx', minRx],
  ] as const) {
    if (!(value >= 0.001 && value <= LONGEST))
      throw fault(`${name} is a time from 1 µs to 4294967 ms, and ${value} ms is none`);
  }
}

/** The names that events and tables have for a session's ends. */
export function endsText({ local, remote, device = '' }: BfdRequest): {
  readonly local: string;
  readonly remote: string;
} {
  const text = (addr: IpAddress) => formatScoped({ addr, zone: isLinkLocalAddress(addr) ? device : '' });
  return { local: text(local), remote: text(remote) };
}

/** What a session shared by several clients runs with: it is as fast as the one that is in the greatest hurry. */
export function mergeRequests(requests: readonly BfdRequest[]): {
  readonly parameters: BfdParameters;
  readonly role: BfdRole;
} {
  const least = (value: (request: BfdRequest) => number) => Math.min(...requests.map(value));
  return {
    parameters: {
      desiredMinTx: Math.round(least(({ minTx }) => minTx) * 1000),
      requiredMinRx: Math.round(least(({ minRx }) => minRx) * 1000),
      detectMult: least(({ multiplier }) => multiplier),
    },
    role: requests.every(({ role }) => role === 'passive') ? 'passive' : 'active',
  };
}
