import { ERROR, METER_MOD_FAILED, OpenFlowError } from '../../../protocols/openflow/constants.ts';
import {
  type Band,
  METER,
  METER_FLAGS,
  type MeterMod,
  type MeterSpec,
} from '../../../protocols/openflow/meter.ts';

/** Most bands of a meter (`MAX_BANDS` of lib/dpif-netdev.c). */
export const MAX_BANDS = 8;
export const MAX_METERS = 262_144;

/** What becomes of a packet: it goes on, is dropped, or its drop precedence rises by so much. */
export type Verdict = 'pass' | 'drop' | { readonly precedence: number };

/** A meter: a token bucket for each band (`dp_netdev_run_meter` of lib/dpif-netdev.c). */
export class Meter {
  readonly spec: MeterSpec;
  readonly created: number;
  packets = 0;
  bytes = 0;
  readonly bandPackets: number[];
  readonly bandBytes: number[];
  /** Thousandths of packets, or bits. */
  readonly #tokens: number[];
  readonly #verdicts: readonly Verdict[];
  #used: number;

  constructor(spec: MeterSpec, created: number, now: number) {
    this.spec = spec;
    this.created = created;
    this.#used = now;
    this.bandPackets = spec.bands.map(() => 0);
    this.bandBytes = spec.bands.map(() => 0);
    this.#tokens = spec.bands.map(capacity);
    this.#verdicts = spec.bands.map((band) =>
      band.type === 'drop' ? 'drop' : { precedence: band.precedence },
    );
  }

  /** A packet of so many bytes: what the band of the highest rate that it is above says. */
  run(bytes: number, now: number): Verdict {
    const { flags, bands } = this.spec;
    const elapsed = now - this.#used;
    const volume = (flags & METER_FLAGS.PKTPS) === 0 ? 8 * bytes : 1000;
    this.#used = now;
    this.packets++;
    this.bytes += bytes;
    let exceeded = -1;
    for (let i = 0; i < bands.length; i++) {
      const band = bands[i]!;
      const tokens = Math.min(capacity(band), this.#tokens[i]! + elapsed * band.rate);
      if (tokens >= volume) this.#tokens[i] = tokens - volume;
      else {
        this.#tokens[i] = tokens;
        if (exceeded < 0 || band.rate > bands[exceeded]!.rate) exceeded = i;
      }
    }
    if (exceeded < 0) return 'pass';
    this.bandPackets[exceeded]!++;
    this.bandBytes[exceeded]! += bytes;
    return this.#verdicts[exceeded]!;
  }
}

/** Without a burst size it is what comes in a second. */
function capacity({ burst, rate }: Band): number {
  return 1000 * (burst === 0 ? rate : burst);
}

/** The meters of a switch (§5.7). @throws OpenFlowError where a change is refused. */
export class MeterTable {
  readonly #meters = new Map<number, Meter>();

  get(meter: number): Meter | undefined {
    return this.#meters.get(meter);
  }

  /** By number. */
  list(): Meter[] {
    return [...this.#meters.values()].sort((a, b) => a.spec.meter - b.spec.meter);
  }

  add(mod: MeterMod, now: number): Meter {
    const spec = checked(mod);
    if (this.#meters.has(spec.meter))
      throw refused(`meter ${spec.meter} is there already`, METER_MOD_FAILED.METER_EXISTS);
    return this.#set(spec, now, now);
  }

  modify(mod: MeterMod, now: number): Meter {
    const spec = checked(mod);
    const old = this.#meters.get(spec.meter);
    if (old === undefined) throw refused(`there is no meter ${spec.meter}`, METER_MOD_FAILED.UNKNOWN_METER);
    return this.#set(spec, old.created, now);
  }

  /** Takes one out, or all; it is no error if it is not there. */
  delete(meter: number): Meter[] {
    const gone =
      meter === METER.ALL ? this.list() : [this.#meters.get(meter)].filter((one) => one !== undefined);
    for (const { spec } of gone) this.#meters.delete(spec.meter);
    return gone;
  }

  #set(spec: MeterSpec, created: number, now: number): Meter {
    const meter = new Meter(spec, created, now);
    this.#meters.set(spec.meter, meter);
    return meter;
  }
}

function refused(message: string, code: number): OpenFlowError {
  return new OpenFlowError(message, ERROR.METER_MOD_FAILED, code);
}

function checked({ meter, flags, bands }: MeterMod): MeterSpec {
  if (meter === 0 || meter > METER.MAX)
    throw refused(`${meter} is no number of a meter`, METER_MOD_FAILED.INVALID_METER);
  const unit = flags & (METER_FLAGS.KBPS | METER_FLAGS.PKTPS);
  if (unit !== METER_FLAGS.KBPS && unit !== METER_FLAGS.PKTPS)
    throw refused('a meter counts in kbps or in pktps', METER_MOD_FAILED.BAD_FLAGS);
  if (bands.length > MAX_BANDS)
    throw refused(`a meter has at most ${MAX_BANDS} bands`, METER_MOD_FAILED.OUT_OF_BANDS);
  for (const { rate } of bands) if (rate === 0) throw refused('a band has a rate', METER_MOD_FAILED.BAD_RATE);
  return { meter, flags, bands };
}
