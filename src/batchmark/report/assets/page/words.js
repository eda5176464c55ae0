// Figures as words, the same as in the tables of the page.

function duration(ms) {
  if (ms === null || ms === undefined) return "unknown";
  const seconds = ms / 1000;
  if (seconds === 0) return "0 s";
  if (seconds < 0.9995) return seconds >= 0.001 ? `${Math.round(seconds * 1000)} ms` : "< 1 ms";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < 3599.5) {
    const whole = Math.round(seconds);
    return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  }
  if (seconds < 72 * 3600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

// The exact value, for the one job that is looked at.
function exactSeconds(ms) {
  return ms === null ? "not told" : `${(ms / 1000).toLocaleString("en", { minimumFractionDigits: 3 })} s`;
}

function roundTime(ms) {
  for (const [size, unit] of [[86400e3, "d"], [3600e3, "h"], [60e3, "min"], [1e3, "s"]]) {
    if (ms >= size * 0.9999) return `${+(ms / size).toPrecision(6)} ${unit}`;
  }
  return `${+ms.toPrecision(6)} ms`;
}

function moment(ms) {
  if (ms === null) return "unknown";
  return `${new Date(data.base_ms + ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function count(value) {
  return value === null ? "not told" : value.toLocaleString("en");
}

function money(nano) {
  if (nano === null) return "unknown";
  if (nano === 0) return "$0";
  const usd = nano / 1e9;
  return usd >= 0.9995
    ? `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
    : `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumSignificantDigits: 3, maximumFractionDigits: 9 })}`;
}

function percent(part) {
  return part === null || part === undefined ? "–" : `${Math.round(part * 1000) / 10} %`;
}

// An element with attributes and children. Texts become text nodes, so nothing in them is ever read as HTML.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
