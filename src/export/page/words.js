// Numbers, times and marks as the page says them: the same in every browser, whatever its language.

const GROUPED = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const NONE = "–";

/** `12,345`. */
export function count(number) {
  return Number.isFinite(number) ? GROUPED.format(number) : NONE;
}

/** `18.6 kB`: powers of ten, as the table of `read` has them. */
export function size(bytes) {
  if (!Number.isFinite(bytes)) return NONE;
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** `12.3 %`. */
export function share(part, whole) {
  if (!(whole > 0)) return NONE;
  const percent = (100 * part) / whole;
  if (part > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent.toFixed(1)} %`;
}

/** Seconds: `3.9 s`, `4 min 10 s`, `12 h 3 min`, `2 d 4 h`. */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const pair = (large, one, small, other) => (small ? `${large} ${one} ${small} ${other}` : `${large} ${one}`);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(whole / 60);
  if (minutes < 48 * 60) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** Milliseconds since the epoch, of a time as the API writes it. */
export function millis(rfc3339) {
  return rfc3339 ? Date.parse(rfc3339) : NaN;
}

/** A packet's time in UTC: `23 Aug 06:00:02`. No time is told as "ago": a capture has its own. */
export function moment(rfc3339) {
  const time = new Date(rfc3339 ?? NaN);
  if (Number.isNaN(time.getTime())) return NONE;
  return `${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]} ${time.toISOString().slice(11, 19)}`;
}

/** The same with its year. */
export function full(rfc3339) {
  const time = new Date(rfc3339 ?? NaN);
  if (Number.isNaN(time.getTime())) return NONE;
  return `${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]} ${time.getUTCFullYear()} ${time.toISOString().slice(11, 19)} UTC`;
}

/** The clock alone, or the day alone at midnight: for the marks of a time line. */
export function mark(milliseconds, step) {
  const time = new Date(milliseconds);
  if (milliseconds % 86_400_000 === 0) return `${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]}`;
  return time.toISOString().slice(11, step < 60_000 ? 19 : 16);
}

/** What handshake times say of a database's country. The sign is told apart without colour. */
export const VERDICTS = {
  consistent: { sign: "●", word: "not contradicted", long: "handshake times do not contradict the databases' country" },
  mixed: {
    sign: "◐",
    word: "refuted in part",
    long: "handshake times contradict the databases' country for some of its servers, and not for others",
  },
  refuted: { sign: "✕", word: "refuted", long: "handshake times contradict the databases' country: the server is elsewhere" },
  unmeasured: { sign: "○", word: "not measured", long: "no handshake time measures it" },
};

/** What named a destination. */
export const ORIGINS = {
  sni: "the server name of a TLS ClientHello",
  quic: "the server name of a QUIC ClientHello",
  host: "the Host of an HTTP request",
  certificate: "the server's certificate",
  dns: "an answer to the device's own DNS question",
  ech: "only the public name of an Encrypted ClientHello: not the destination",
  none: "nothing: the address alone",
};

/** What is known of bytes' destinations: words, and which part of the budget it belongs to. */
export const CLASSES = {
  sni: ["TLS server name", "named"],
  quic: ["QUIC server name", "named"],
  host: ["HTTP Host", "named"],
  certificate: ["certificate", "named"],
  dns: ["DNS answer", "named"],
  dns_ambiguous: ["DNS, one of several answers", "named"],
  ech: ["Encrypted ClientHello", "hidden"],
  doh: ["DNS over HTTPS", "hidden"],
  dot: ["DNS over TLS", "hidden"],
  doq: ["DNS over QUIC", "hidden"],
  relay: ["relay", "hidden"],
  wireguard: ["WireGuard", "hidden"],
  openvpn: ["OpenVPN", "hidden"],
  ipsec: ["IPsec", "hidden"],
  vpn: ["other tunnel", "hidden"],
  tor: ["Tor", "hidden"],
  bare: ["address alone", "bare"],
  lost: ["counted, not followed", "bare"],
  local: ["own side", "side"],
  multicast: ["groups", "side"],
};

/** The verdict on bytes that are counted by verdict: `mixed` where only some are refuted, none where nothing went outside. */
export function verdict({ refuted = 0, consistent = 0, unmeasured = 0 }) {
  if (refuted > 0) return consistent + unmeasured > 0 ? "mixed" : "refuted";
  return consistent > 0 ? "consistent" : unmeasured > 0 ? "unmeasured" : null;
}
