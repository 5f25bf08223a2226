// Measured curves as paths. Pure functions; time runs along x.

/** Times from 0 to `seconds` by the least "round" step (1, 2, 5 times a power of ten, or of a minute) that leaves at most `most` steps. */
export function ticks(seconds, most) {
  if (!Number.isFinite(seconds) || seconds < 0) return [];
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((one) => seconds / one <= most) ?? 3600 * Math.ceil(seconds / 3600 / most);
  return Array.from({ length: Math.floor(seconds / step + 1e-9) + 1 }, (_, i) => i * step);
}

/**
 * Thin a curve out to at most `most` points: each bin keeps its point farthest from zero, so that no peak is lost.
 * A bin without any measured value keeps a gap.
 */
export function thinned(times, values, most) {
  if (times.length <= most) return [times, values];
  const size = Math.ceil(times.length / most);
  const [outTimes, outValues] = [[], []];
  for (let first = 0; first < times.length; first += size) {
    let best = null;
    for (let i = first; i < Math.min(first + size, times.length); i += 1) {
      if (values[i] !== null && (best === null || Math.abs(values[i]) > Math.abs(values[best]))) best = i;
    }
    outTimes.push(times[best ?? first]);
    outValues.push(best === null ? null : values[best]);
  }
  return [outTimes, outValues];
}

/** Index ranges [first, end) of unbroken runs: neither null values nor jumps in time longer than `gap`. */
export function runs(times, values, gap = Infinity) {
  const found = [];
  let first = null;
  for (let i = 0; i <= values.length; i += 1) {
    const isBreak = i === values.length || values[i] === null || (first !== null && i > first && times[i] - times[i - 1] > gap);
    if (isBreak && first !== null) {
      found.push([first, i]);
      first = null;
    }
    if (i < values.length && values[i] !== null && first === null) first = i;
  }
  return found;
}

const at = (number) => Math.round(number * 10) / 10;

/** Closed area under a curve, down to y = `base`. */
export function areaPath(times, values, x, y, base) {
  return runs(times, values)
    .map(([first, end]) => {
      const points = [];
      for (let i = first; i < end; i += 1) points.push(`${at(x(times[i]))} ${at(y(values[i]))}`);
      return `M${at(x(times[first]))} ${base}L${points.join("L")}L${at(x(times[end - 1]))} ${base}Z`;
    })
    .join("");
}

/** An open line; gaps stay gaps, a single point is drawn as a dot by round line ends. */
export function linePath(times, values, x, y, gap) {
  return runs(times, values, gap)
    .map(([first, end]) => {
      const points = [];
      for (let i = first; i < end; i += 1) points.push(`${at(x(times[i]))} ${at(y(values[i]))}`);
      return `M${points.length === 1 ? `${points[0]}L${points[0]}` : points.join("L")}`;
    })
    .join("");
}

/** [start, end] of stretches where `flags` hold; each frame lasts until the next one. */
export function spans(times, flags) {
  const step = times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : 0;
  const found = [];
  flags.forEach((flag, i) => {
    if (!flag) return;
    const end = i + 1 < times.length ? Math.min(times[i + 1], times[i] + 2 * step) : times[i] + step;
    const last = found.at(-1);
    if (last && times[i] - last[1] <= step / 2) last[1] = end;
    else found.push([times[i], end]);
  });
  return found;
}

/** Index of the last time at or before `seconds`, -1 if there is none. */
export function indexAt(times, seconds) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= seconds + 1e-6) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The percentile `share` (0..1) of numbers, by nearest rank. */
export function percentile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
}
