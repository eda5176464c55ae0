// What all charts share: colours and marks of targets, a logarithmic time axis, a readout that a screen reader hears too.

const charts = [];
let printing = false;
const PAPER = 680; // what fits between the margins of A4 and Letter

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function colorOf(target) {
  return style(`--t${(target % 8) + 1}`);
}

// Markers and dashes are read from the page's keys, where they are written once.
const looks = (() => {
  const key = document.querySelector("ul.key");
  if (!key) return [];
  return [...key.querySelectorAll("svg.look")].map((svg) => ({
    marker: new Path2D(svg.querySelector("path").getAttribute("d")),
    dashes: (svg.querySelector("line").getAttribute("stroke-dasharray") || "").split(" ").filter(Boolean).map(Number),
  }));
})();

function lookOf(target) {
  return looks[target] ?? { marker: new Path2D("M0-4A4 4 0 1 0 0 4A4 4 0 1 0 0-4Z"), dashes: [] };
}

// On paper everything is drawn twice as large and shown at half the size, so that it is sharp.
function unit() {
  return printing ? 2 : 1;
}

// Pixels of the canvas for what is one on the screen; uPlot's own measure is not there before its first drawing.
function pixels() {
  return devicePixelRatio * unit();
}

function font() {
  return `${12 * unit()}px ${getComputedStyle(document.body).fontFamily}`;
}

const STEPS = (() => {
  const second = 1000, minute = 60e3, hour = 3600e3, day = 86400e3;
  const strong = [1, 10, 100, second, 10 * second, minute, 10 * minute, hour, 6 * hour, day, 7 * day, 30 * day];
  const weak = [
    2, 5, 20, 50, 200, 500, 2 * second, 5 * second, 20 * second, 30 * second, 2 * minute, 5 * minute, 20 * minute, 30 * minute,
    2 * hour, 3 * hour, 12 * hour, 2 * day, 3 * day, 14 * day,
  ];
  const fine = [
    3 * second, 4 * second, 6 * second, 7 * second, 8 * second, 9 * second, 12 * second, 15 * second, 25 * second, 40 * second,
    3 * minute, 4 * minute, 7 * minute, 15 * minute, 25 * minute, 40 * minute, 4 * hour, 8 * hour, 18 * hour, 5 * day,
  ];
  return [strong, weak, fine];
})();
const FEW_SPLITS = 4; // with so many marks the fine steps are not needed

// Round times between two ends, as many as there is room for.
function timeSplits(low, high, length, room) {
  const place = (ms) => (Math.log(ms / low) / Math.log(high / low)) * length;
  const taken = [];
  for (const steps of STEPS) {
    if (taken.length >= FEW_SPLITS && steps === STEPS[2]) break;
    for (const ms of steps) {
      if (ms < low * 0.999 || ms > high * 1.001) continue;
      if (taken.every((other) => Math.abs(place(other) - place(ms)) >= room)) taken.push(ms);
    }
  }
  return taken.sort((a, b) => a - b);
}

function timeAxis(extra) {
  const room = extra.side === 3 ? 26 : 42;
  return {
    ...axis(),
    splits: (u, index, low, high) =>
      timeSplits(low, high, (extra.side === 3 ? u.bbox.height : u.bbox.width) / pixels(), room),
    filter: (u, splits) => splits,
    values: (u, splits) => splits.map(roundTime),
    ...extra,
  };
}

function axis() {
  const size = unit();
  return {
    font: font(),
    stroke: style("--quiet"),
    grid: { stroke: style("--line"), width: size },
    ticks: { stroke: style("--line"), width: size, size: 5 * size },
    border: { show: false },
    gap: 5 * size,
  };
}

// A scale that holds what it is given, with a little air, from positive values.
function logScale(values) {
  let low = Infinity, high = 0;
  for (const value of values) {
    if (value > 0 && value < low) low = value;
    if (value > high) high = value;
  }
  if (!high) return null;
  const air = Math.max(1.12, (high / low) ** 0.04);
  return { time: false, distr: 3, auto: false, range: [low / air, high * air] };
}

// A chart in its place. `make` gives uPlot's options and data for a width; `draw` may be called again and again.
function chart(figure, make, actions) {
  const place = figure.querySelector(".canvas");
  const live = figure.querySelector(".live");
  const readout = figure.querySelector(".readout");
  const self = { figure, place, plot: null };
  self.draw = () => {
    self.plot?.destroy();
    place.style.zoom = "";
    // the window is not yet as narrow as paper when printing begins
    const width = Math.max(240, printing ? Math.min(place.clientWidth, PAPER) : place.clientWidth) * unit();
    const [options, values] = make(width);
    place.style.zoom = printing ? "0.5" : "";
    self.plot = new uPlot({ width, legend: { show: false }, ...options }, values, place);
  };
  // Said beside the chart, and read aloud where it came about by keyboard.
  self.say = (text, aloud) => {
    readout.textContent = text || "\u00a0";
    if (aloud) live.textContent = text;
  };
  place.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (step !== undefined) actions.move(self, step, event.key.startsWith("Arrow") && /Up|Down/.test(event.key));
    else if (event.key === "Home") actions.move(self, -Infinity, false);
    else if (event.key === "End") actions.move(self, Infinity, false);
    else if (event.key === "Enter" && actions.choose) actions.choose(self);
    else if (event.key === "Escape") actions.leave(self);
    else return;
    event.preventDefault();
  });
  place.addEventListener("blur", () => actions.leave(self));
  charts.push(self);
  self.draw();
  return self;
}

function drawAll() {
  for (const each of charts) each.draw();
}

// A small box beside the pointer.
const tip = document.getElementById("tip");

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line, place) => element(place ? "div" : "b", {}, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 14 + width > innerWidth ? x - 14 - width : x + 14;
  const top = y + 14 + height > innerHeight ? y - 14 - height : y + 14;
  tip.style.left = `${Math.max(4, left) + scrollX}px`;
  tip.style.top = `${Math.max(4, top) + scrollY}px`;
}

function hideTip() {
  tip.hidden = true;
}
