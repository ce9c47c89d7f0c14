/** What the neighbour and we have told each other since the speaker was made. */
export interface SessionStats {
  updatesSent: number;
  updatesReceived: number;
  /** Prefixes announced to us, and those of them that a loop check kept from being candidates. */
  importUpdates: number;
  importRejected: number;
  importWithdraws: number;
  exportUpdates: number;
  exportWithdraws: number;
  /** UPDATEs with a fault that was survived (RFC 7606), and attributes dropped. */
  treatedAsWithdraw: number;
  attributesDiscarded: number;
}

export function noStats(): SessionStats {
  return {
    updatesSent: 0,
    updatesReceived: 0,
    importUpdates: 0,
    importRejected: 0,
    importWithdraws: 0,
    exportUpdates: 0,
    exportWithdraws: 0,
    treatedAsWithdraw: 0,
    attributesDiscarded: 0,
  };
}
