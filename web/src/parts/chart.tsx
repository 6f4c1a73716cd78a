// SPDX-License-Identifier: MIT
// A line of the last minutes, as SVG, and in words what it shows. The first minute has the whole width, later the time
// since the page was opened, up to ten minutes.
import type { Series } from "../state";

const HEIGHT = 48;
const LEAST_SECONDS = 60;

interface ChartProps {
  series: Series;
  label: string;
  /** What the whole height is at least. */
  least: number;
  format: (value: number) => string;
}

export function Chart({ series, label, least, format }: ChartProps) {
  const values = series.values.value;
  const width = Math.max(LEAST_SECONDS, values.length) - 1;
  const top = Math.max(least, ...values);
  const left = width - values.length + 1;
  const minutes = Math.ceil(values.length / 60);
  const points = values.map((value, i) => `${left + i},${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`);
  return (
    <figure class="chart">
      <figcaption>
        <span>
          {label} <b>{format(values.at(-1) ?? 0)}</b>
        </span>
        <span>
          peak {format(Math.max(0, ...values))}, last {minutes > 1 ? `${minutes} minutes` : "minute"}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {points.length > 1 && (
          <>
            <polygon points={`${left},${HEIGHT} ${points.join(" ")} ${width},${HEIGHT}`} />
            <polyline points={points.join(" ")} />
          </>
        )}
      </svg>
    </figure>
  );
}
