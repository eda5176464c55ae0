// Turnaround: every job a point, one lane for each target, earlier rounds higher; pointing at one says what it is, choosing it shows its row.

function drawPoints(figure) {
  const drawn = [];
  for (let job = 0; job < jobCount; job++) if (timeOf(job) !== null) drawn.push(job);
  const scale = logScale([...drawn.map(timeOf), ...targets.flatMap((each) => each.quantiles.map((q) => q.high_ms ?? q.value_ms))]);
  if (!scale) return;
  const heights = laneHeights(drawn);
  // in reading order for the keyboard: lane by lane, from fast to slow
  const order = [...drawn].sort((a, b) => jobs.target[a] - jobs.target[b] || timeOf(a) - timeOf(b));
  const many = drawn.length > 1500;
  let chosen = null;
  let byKey = false;
  const ring = element("div", { class: "ring", hidden: "" });

  let self = null; // not yet there while it is drawn for the first time
  self = chart(figure, options, { move, leave, choose });

  function options(width) {
    const size = unit();
    const lane = (width / size < 560 ? 58 : 66) * size;
    return [
      {
        height: targets.length * lane + 36 * size,
        padding: [4 * size, 14 * size, 0, 14 * size],
        scales: { x: scale, y: { range: [0, targets.length] } },
        axes: [timeAxis({ scale: "x", size: 30 * size }), { show: false }],
        series: [{}, { points: { show: false }, paths: () => null }],
        cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
        hooks: { draw: [draw], ready: [bind] },
      },
      [[scale.range[0], scale.range[1]], [null, null]],
    ];
  }

  // Where in its lane a job lies, 0 at the top to 1: by its round, between the name above and the marks.
  function laneHeights(drawn) {
    const rounds = jobs.round;
    const low = drawn.reduce((least, job) => Math.min(least, rounds[job]), Infinity);
    const high = drawn.reduce((most, job) => Math.max(most, rounds[job]), -Infinity);
    return (job) => (high > low ? (rounds[job] - low) / (high - low) : 0.5);
  }

  function placeOf(u, job) {
    const top = jobs.target[job] + 0.47 + 0.43 * heights(job);
    // what took less than the clock tells lies at the left edge
    return [u.valToPos(Math.max(scale.range[0], timeOf(job)), "x", true), u.bbox.top + (top / targets.length) * u.bbox.height];
  }

  function draw(u) {
    const { ctx } = u;
    const size = pixels();
    const lane = u.bbox.height / targets.length;
    ctx.save();
    targets.forEach((each, target) => {
      const top = u.bbox.top + target * lane;
      if (target) line(ctx, style("--line"), size, u.bbox.left, top, u.bbox.left + u.bbox.width, top);
      marks(u, each.quantiles, target, top, lane);
    });
    ctx.globalAlpha = many ? 0.35 : 0.8;
    const shapes = targets.map((_, target) => [colorOf(target), lookOf(target).marker]);
    for (const job of drawn) {
      const [left, top] = placeOf(u, job);
      const [color, marker] = shapes[jobs.target[job]];
      stamp(ctx, marker, color, left, top, size * (many ? 0.55 : 0.9), isFinished(job));
    }
    ctx.globalAlpha = 1;
    targets.forEach((each, target) => name(u, labelOf(target), u.bbox.top + target * lane, size));
    ctx.restore();
  }

  function stamp(ctx, marker, color, left, top, size, finished) {
    ctx.save();
    ctx.translate(left, top);
    ctx.scale(size, size);
    if (finished) {
      ctx.fillStyle = color;
      ctx.fill(marker);
    } else {
      ctx.globalAlpha = 1;
      ctx.strokeStyle = color;
      ctx.lineWidth = 1.6;
      ctx.stroke(marker);
      ctx.stroke(new Path2D("M6 0H14M11-3L14 0L11 3"));
    }
    ctx.restore();
  }

  function marks(u, quantiles, target, top, lane) {
    const { ctx } = u;
    const size = pixels();
    const ink = style("--ink");
    let free = -Infinity;
    for (const each of quantiles) {
      const left = u.valToPos(Math.max(scale.range[0], each.value_ms), "x", true);
      const from = top + 0.39 * lane, to = top + 0.97 * lane;
      if (each.low_ms !== null || each.high_ms !== null) {
        const low = each.low_ms === null ? u.bbox.left : u.valToPos(Math.max(scale.range[0], each.low_ms), "x", true);
        const high = each.high_ms === null ? u.bbox.left + u.bbox.width : u.valToPos(each.high_ms, "x", true);
        ctx.globalAlpha = 0.16;
        ctx.fillStyle = colorOf(target);
        ctx.fillRect(low, from, Math.max(1, high - low), to - from);
        ctx.globalAlpha = 1;
      }
      line(ctx, ink, 1.5 * size, left, from, left, to);
      ctx.font = `${11 * size}px ${getComputedStyle(document.body).fontFamily}`;
      ctx.fillStyle = style("--quiet");
      ctx.textBaseline = "alphabetic";
      ctx.textAlign = "center";
      const text = each.part === 0.5 ? "median" : `p${Math.round(each.part * 100)}`;
      const width = ctx.measureText(text).width;
      const middle = Math.min(u.bbox.left + u.bbox.width - width / 2, Math.max(left, free + width / 2));
      const row = top + 0.3 * lane;
      // beside the lane's name, or not at all: the table has it
      const nameEnd = u.bbox.left + nameWidth(u, labelOf(target), size) + 10 * size;
      if (middle - width / 2 > nameEnd && middle - left < 40 * size) {
        ctx.fillText(text, middle, row);
        free = middle + width / 2 + 5 * size;
      }
    }
  }

  function labelOf(target) {
    return targets[target].name + (targets[target].emulated ? " (emulated)" : "");
  }

  function nameWidth(u, text, size) {
    u.ctx.font = `${12.5 * size}px ${getComputedStyle(document.body).fontFamily}`;
    return u.ctx.measureText(text).width;
  }

  function name(u, text, top, size) {
    nameWidth(u, text, size);
    u.ctx.textAlign = "left";
    u.ctx.textBaseline = "alphabetic";
    u.ctx.lineWidth = 4 * size;
    u.ctx.strokeStyle = style("--paper");
    u.ctx.strokeText(text, u.bbox.left, top + 17 * size);
    u.ctx.fillStyle = style("--ink");
    u.ctx.fillText(text, u.bbox.left, top + 17 * size);
  }

  function line(ctx, color, width, x1, y1, x2, y2) {
    ctx.strokeStyle = color;
    ctx.lineWidth = width;
    ctx.beginPath();
    ctx.moveTo(x1, y1);
    ctx.lineTo(x2, y2);
    ctx.stroke();
  }

  function bind(u) {
    u.over.append(ring);
    const near = (event) => {
      const box = u.over.getBoundingClientRect();
      const size = devicePixelRatio;
      return nearest(u, (event.clientX - box.left) * size + u.bbox.left, (event.clientY - box.top) * size + u.bbox.top, 14 * size);
    };
    u.over.addEventListener("pointermove", (event) => {
      const job = near(event);
      u.over.style.cursor = job === null ? "" : "pointer";
      pick(job, false, event.clientX, event.clientY);
    });
    u.over.addEventListener("pointerleave", () => pick(null, false));
    u.over.addEventListener("click", (event) => {
      const job = near(event);
      if (job !== null) openJob(job);
    });
  }

  function nearest(u, x, y, reach) {
    let best = null, least = reach * reach;
    for (const job of drawn) {
      const [left, top] = placeOf(u, job);
      const away = (left - x) ** 2 + (top - y) ** 2;
      if (away < least) [best, least] = [job, away];
    }
    return best;
  }

  function pick(job, aloud, x, y) {
    if (job !== chosen || aloud) {
      chosen = job;
      byKey = aloud;
      encircle(self.plot);
      self.say(job === null ? "" : lines(job).join(", "), aloud);
    }
    if (job === null) hideTip();
    else showTip(lines(job), x, y);
  }

  // The point that is looked at; an element of its own, so that ten thousand points need not be drawn again.
  function encircle(u) {
    ring.hidden = chosen === null;
    if (chosen === null) return;
    const [left, top] = placeOf(u, chosen);
    ring.style.left = `${(left - u.bbox.left) / devicePixelRatio}px`;
    ring.style.top = `${(top - u.bbox.top) / devicePixelRatio}px`;
  }

  function lines(job) {
    const time = duration(timeOf(job));
    return [
      `Job ${jobs.id[job]}`,
      `${targets[jobs.target[job]].name}, round ${jobs.round[job]}${jobs.emulated[job] ? ", emulated" : ""}`,
      isFinished(job) ? `turnaround ${time}${jobs.polled[job] ? " (from our polls)" : ""}` : `${jobs.state[job]}, certainly longer than ${time}`,
      `submitted ${moment(jobs.submitted_ms[job])}`,
    ];
  }

  function move(self, step, acrossLanes) {
    let place = chosen === null ? -1 : order.indexOf(chosen);
    if (acrossLanes && chosen !== null) {
      const lane = jobs.target[chosen] + step;
      const inLane = order.filter((job) => jobs.target[job] === lane);
      if (!inLane.length) return;
      const away = (job) => Math.abs(Math.log((timeOf(job) + 1) / (timeOf(chosen) + 1)));
      place = order.indexOf(inLane.reduce((best, job) => (away(job) < away(best) ? job : best)));
    } else {
      place = Math.min(order.length - 1, Math.max(0, place + step));
    }
    const u = self.plot;
    const [left, top] = placeOf(u, order[place]);
    const size = devicePixelRatio;
    const box = u.over.getBoundingClientRect();
    pick(order[place], true, box.left + (left - u.bbox.left) / size, box.top + (top - u.bbox.top) / size);
  }

  function leave() {
    if (byKey) pick(null, false);
  }

  function choose() {
    if (chosen !== null) openJob(chosen);
  }
}
