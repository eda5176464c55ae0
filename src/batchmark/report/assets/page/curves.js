// P(done by t): one stepped curve for each target, bands, ticks of unfinished jobs, and a cursor that reads all curves off at once.

const FEW_JOBS = 80; // above, ticks of unfinished jobs would be a carpet

function drawCurves(figure) {
  const curve = data.curve;
  const times = decode(curve.times_ms);
  const columns = curve.targets.map((each) =>
    Object.fromEntries(Object.entries(each).map(([name, column]) => [name, decode(column, times.length)])),
  );
  const part = (column, place) => (column && column[place] !== null ? column[place] / 10000 : null);
  const marks = targets.map((_, target) => unfinishedOf(target));
  const scale = logScale([...times, ...marks.flat()]);
  const start = scale.range[0];
  // every curve starts at the left edge, at zero
  const x = [start, ...times];
  const series = columns.map((each) => [0, ...times.map((_, place) => part(each.done, place))]);
  const outputs = [...figure.querySelectorAll("ul.key output")];
  const items = [...figure.querySelectorAll("ul.key li")];
  let focus = null;

  let self = null; // not yet there while it is drawn for the first time
  self = chart(figure, options, { move, leave });
  items.forEach((item, target) => {
    item.addEventListener("pointerenter", () => setFocus(target));
    item.addEventListener("pointerleave", () => setFocus(null));
  });

  function setFocus(target) {
    focus = target;
    self.plot.redraw(false);
  }

  function options(width) {
    const size = unit();
    return [
      {
        height: (width / size < 560 ? 260 : 340) * size,
        padding: [10 * size, 14 * size, 0, 0],
        scales: { x: scale, y: { range: [0, 1] } },
        axes: [
          timeAxis({ scale: "x", size: 30 * size }),
          {
            ...axis(),
            size: 52 * size,
            splits: () => [0, 0.25, 0.5, 0.75, 1],
            values: (u, splits) => splits.map((value) => `${value * 100} %`),
          },
        ],
        series: [
          {},
          ...columns.map((_, target) => ({
            label: targets[target].name,
            stroke: colorOf(target),
            width: 2 * size,
            dash: lookOf(target).dashes.map((each) => each * size),
            points: { show: false },
            paths: uPlot.paths.stepped({ align: 1 }),
          })),
        ],
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        hooks: { drawAxes: [drawBands], draw: [drawTicks], setCursor: [read] },
      },
      [x, ...series],
    ];
  }

  function drawBands(u) {
    columns.forEach((each, target) => {
      // many bands on top of each other say nothing: then only that of the target pointed at
      if (!each.low || (focus === null ? columns.length > 3 : focus !== target)) return;
      const shape = new Path2D();
      const upper = edge(u, each.high), lower = edge(u, each.low).reverse();
      [...upper, ...lower].forEach(([left, top], place) => (place ? shape.lineTo(left, top) : shape.moveTo(left, top)));
      u.ctx.save();
      u.ctx.globalAlpha = focus === target ? 0.28 : 0.14;
      u.ctx.fillStyle = colorOf(target);
      u.ctx.fill(shape);
      u.ctx.restore();
    });
  }

  function edge(u, column) {
    const corners = [];
    let before = null;
    times.forEach((time, place) => {
      const value = part(column, place);
      if (value === null) return;
      const left = u.valToPos(time, "x", true), top = u.valToPos(value, "y", true);
      if (before !== null) corners.push([left, before]);
      corners.push([left, top]);
      before = top;
    });
    return corners;
  }

  function drawTicks(u) {
    const size = pixels();
    marks.forEach((mine, target) => {
      u.ctx.save();
      u.ctx.strokeStyle = colorOf(target);
      u.ctx.lineWidth = 1.5 * size;
      for (const ms of mine) {
        const place = lastAtOrBefore(x, ms);
        const value = series[target][place];
        if (value === null) continue;
        const left = u.valToPos(ms, "x", true), top = u.valToPos(value, "y", true);
        u.ctx.beginPath();
        u.ctx.moveTo(left, top - 5 * size);
        u.ctx.lineTo(left, top + 5 * size);
        u.ctx.stroke();
      }
      u.ctx.restore();
    });
  }

  function unfinishedOf(target) {
    const mine = [];
    let all = 0;
    for (let job = 0; job < jobCount; job++) {
      if (jobs.target[job] !== target) continue;
      all += 1;
      if (!isFinished(job) && jobs.unfinished_ms[job] > 0) mine.push(jobs.unfinished_ms[job]);
    }
    return all <= FEW_JOBS ? mine : [];
  }

  function read(u) {
    const left = u.cursor.left;
    if (left === null || left === undefined || left < 0) return show(null, false);
    show(u.posToVal(left, "x"), false);
  }

  function show(ms, aloud) {
    if (ms === null) {
      outputs.forEach((output) => (output.textContent = ""));
      self?.say("", false);
      return;
    }
    const place = lastAtOrBefore(x, ms);
    const said = columns.map((each, target) => {
      const value = series[target][place];
      const low = place ? part(each.low, place - 1) : null, high = place ? part(each.high, place - 1) : null;
      const text = value === null ? "not observed" : percent(value) + (low === null ? "" : ` [${percent(low)} to ${percent(high)}]`);
      outputs[target].textContent = text;
      return `${targets[target].name} ${text}`;
    });
    self?.say(aloud ? `Done by ${duration(ms)}: ${said.join("; ")}` : `Done by ${duration(ms)}`, aloud);
    if (aloud) figure.querySelector(".readout").textContent = `Done by ${duration(ms)}`;
  }

  function move(self, step) {
    const u = self.plot;
    const width = u.over.clientWidth;
    const from = u.cursor.left === undefined || u.cursor.left < 0 ? (step > 0 ? 0 : width) : u.cursor.left;
    const left = Math.min(width - 1, Math.max(1, from + (Number.isFinite(step) ? (step * width) / 60 : step)));
    u.setCursor({ left, top: 10 });
    show(u.posToVal(left, "x"), true);
  }

  function leave(self) {
    self.plot.setCursor({ left: -10, top: -10 });
  }
}

function lastAtOrBefore(sorted, value) {
  let low = 0, high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
