// SPDX-License-Identifier: MIT
// A line of the last ten minutes, as SVG. What it says stands beside it in words.
import type { Series } from "../state";

const WIDTH = 600;
const HEIGHT = 48;

export function Chart({ series, label, least }: { series: Series; label: string; least: number }) {
  const values = series.values.value;
  const top = Math.max(least, ...values);
  const left = WIDTH - values.length;
  const points = values.map((value, i) => `${left + i},${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`);
  return (
    <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{label}</title>
      {points.length > 1 && (
        <>
          <polygon points={`${left},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} />
          <polyline points={points.join(" ")} />
        </>
      )}
    </svg>
  );
}
