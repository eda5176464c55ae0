// Turnaround by the hour of submission: a line for each target through the hours with enough jobs, the jobs themselves where there are too few.

function drawHours(figure) {
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  const outputs = [...figure.querySelectorAll("ul.key output")];
  const loose = looseJobs();
  let part = "0.5";
  let at = null;
  let focus = null;

  let self = null; // not yet there while it is drawn for the first time
  self = chart(figure, options, { move, leave });
  [...figure.querySelectorAll("ul.key li")].forEach((item, target) => {
    item.addEventListener("pointerenter", () => setFocus(target));
    item.addEventListener("pointerleave", () => setFocus(null));
  });
  for (const button of figure.querySelectorAll("input[name=part]")) {
    button.addEventListener("change", () => {
      part = button.value;
      self.draw();
    });
  }

  function setFocus(target) {
    focus = target;
    self.plot.redraw(false);
  }

  // Many intervals beside each other say nothing: then only those of the target pointed at.
  function hasInterval(target) {
    return focus === null ? targets.length <= 3 : focus === target;
  }

  function scaleOf() {
    const values = loose.map(timeOf);
    targets.forEach((_, target) => {
      for (const hour of hours) {
        const [value, low, high] = figureOf(target, hour);
        values.push(...[value, low, high].filter((each) => each !== null));
      }
    });
    return logScale(values) ?? { time: false, distr: 3, range: [1, 1000] };
  }

  function figureOf(target, hour) {
    return data.hours[target][hour]?.[part] ?? [null, null, null, 0];
  }

  // Jobs of an hour in which too few finished for a median.
  function looseJobs() {
    const found = [];
    for (let job = 0; job < jobCount && found.length < 2000; job++) {
      if (jobs.submitted_ms[job] === null || !isFinished(job)) continue;
      const group = data.hours[jobs.target[job]][hourOf(job)];
      if (group && group["0.5"][0] === null) found.push(job);
    }
    return found;
  }

  function hourOf(job) {
    return new Date(data.base_ms + jobs.submitted_ms[job]).getUTCHours();
  }

  // Targets stand beside each other within an hour, so that their intervals can be told apart.
  function shift(target) {
    return targets.length > 1 ? (target / (targets.length - 1) - 0.5) * 0.5 : 0;
  }

  function options(width) {
    const size = unit();
    const narrow = width / size < 560;
    return [
      {
        height: (narrow ? 250 : 300) * size,
        padding: [10 * size, 14 * size, 0, 0],
        scales: { x: { time: false, range: [-0.6, 23.6] }, y: scaleOf() },
        axes: [
          { ...axis(), size: 30 * size, splits: () => hours.filter((hour) => hour % (narrow ? 6 : 3) === 0), values: (u, splits) => splits.map((hour) => `${String(hour).padStart(2, "0")}:00`) },
          timeAxis({ scale: "y", side: 3, size: 62 * size }),
        ],
        series: [{}, ...targets.map(() => ({ paths: () => null, points: { show: false } }))],
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [draw], setCursor: [read] },
      },
      [hours, ...targets.map((_, target) => hours.map((hour) => figureOf(target, hour)[0]))],
    ];
  }

  function draw(u) {
    const { ctx } = u;
    const size = pixels();
    const left = (hour, target) => u.valToPos(hour + shift(target), "x", true);
    ctx.save();
    ctx.globalAlpha = 0.4;
    for (const job of loose) mark(u, jobs.target[job], left(hourOf(job), jobs.target[job]), timeOf(job), 0.6);
    ctx.globalAlpha = 1;
    targets.forEach((_, target) => {
      ctx.strokeStyle = colorOf(target);
      const strength = focus === null || focus === target ? 1 : 0.25;
      ctx.lineWidth = 1.5 * size;
      let before = null;
      for (const hour of hours) {
        const [value, low, high] = figureOf(target, hour);
        if (hasInterval(target) && value !== null && low !== null && high !== null) {
          ctx.setLineDash([]);
          ctx.globalAlpha = 0.5;
          stroke(ctx, left(hour, target), u.valToPos(low, "y", true), left(hour, target), u.valToPos(high, "y", true));
        }
        ctx.globalAlpha = strength;
        const here = value === null ? null : [left(hour, target), u.valToPos(value, "y", true)];
        if (here && before) {
          ctx.setLineDash(lookOf(target).dashes.map((each) => each * size));
          stroke(ctx, ...before, ...here);
        }
        before = here;
        if (value !== null) mark(u, target, left(hour, target), value, 0.95);
      }
    });
    ctx.restore();
  }

  function mark(u, target, left, ms, scale) {
    const { ctx } = u;
    ctx.save();
    ctx.translate(left, u.valToPos(Math.max(u.scales.y.min, ms), "y", true));
    ctx.scale(scale * pixels(), scale * pixels());
    ctx.fillStyle = colorOf(target);
    ctx.fill(lookOf(target).marker);
    ctx.restore();
  }

  function stroke(ctx, x1, y1, x2, y2) {
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.stroke();
  }

  function read(u) {
    show(u.cursor.left >= 0 ? u.cursor.idx : null, false);
  }

  function show(hour, aloud) {
    at = hour ?? null;
    const said = targets.map((each, target) => {
      if (at === null) return (outputs[target].textContent = "");
      const [value, low, high, n] = figureOf(target, at);
      const bounds = low === null || high === null ? "" : ` [${duration(low)} to ${duration(high)}]`;
      const text = value === null ? `n=${n}` : `${duration(value)}${bounds}, n=${n}`;
      outputs[target].textContent = text;
      return `${each.name} ${text}`;
    });
    const name = part === "0.5" ? "median" : "p90";
    const title = at === null ? "" : `${String(at).padStart(2, "0")}:00 UTC, ${name}`;
    self?.say(aloud ? `${title}: ${said.join("; ")}` : title, aloud);
    if (aloud) figure.querySelector(".readout").textContent = title;
  }

  function move(self, step) {
    const hour = Math.min(23, Math.max(0, (at ?? (step > 0 ? -1 : 24)) + step));
    self.plot.setCursor({ left: self.plot.valToPos(hour, "x"), top: 10 });
    show(hour, true);
  }

  function leave(self) {
    self.plot.setCursor({ left: -10, top: -10 });
  }
}
