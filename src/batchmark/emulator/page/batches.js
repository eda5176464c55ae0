// The list of batches, newest first: each with its course as a bar that grows by itself, its rows, and how it ended.

const PAGE = 50;
const MOST = 200;
const ENDED = { succeeded: "good", failed: "bad", expired: "warn", cancelled: "" };
const batches = new Map(); // by sequence number
const rows = new Map(); // what is drawn of them
const list = { total: 0, unfinished: 0, limit: matchMedia("(max-width: 64rem)").matches ? 20 : PAGE, chosen: null };

function takeBatches(news) {
  if (news.all) batches.clear();
  for (const seq of news.gone) batches.delete(seq);
  for (const batch of news.batches) {
    batches.set(batch.seq, batch);
    if (list.chosen && list.chosen.seq === batch.seq) list.chosen = batch;
  }
  list.total = news.total;
  list.unfinished = news.unfinished;
  if (news.total === 0) list.chosen = null;
}

function isOver(batch) {
  return batch.phase in ENDED;
}

function showBatches(filter, now) {
  const fitting = [...batches.values()]
    .filter((batch) => (!filter.dialect || batch.dialect === filter.dialect) && fits(batch, filter.state))
    .sort((a, b) => b.seq - a.seq);
  const shown = fitting.slice(0, list.limit);
  arrange(document.getElementById("batch-list"), shown, (batch) => rowOf(batch, now).node);
  const kept = new Set(shown.map((batch) => batch.seq));
  for (const seq of rows.keys()) if (!kept.has(seq)) rows.delete(seq);
  document.getElementById("more-batches").hidden = fitting.length <= list.limit || list.limit >= MOST;
  document.getElementById("how").hidden = list.total > 0;
  say(document.getElementById("batch-count"), countText(filter, fitting.length, shown.length));
}

function fits(batch, state) {
  return !state || batch.phase === state || (state === "open" && !isOver(batch));
}

function countText(filter, fitting, shown) {
  if (list.total === 0) return "No batch yet. Point a client here and create one:";
  const open = list.unfinished ? `${count(list.unfinished)} not ended` : "all ended";
  const all = `${plural(list.total, "batch", "batches")}, ${open}`;
  const held = batches.size < list.total ? ` Of these the newest ${MOST} are in sight, and older ones that have not ended.` : "";
  if (filter.dialect || filter.state) return `${plural(fitting, "batch", "batches")} like that${shown < fitting ? `, ${shown} shown` : ""}; ${all} in all.${held}`;
  return `${all}.${held}`;
}

function rowOf(batch, now) {
  let row = rows.get(batch.seq);
  if (!row) rows.set(batch.seq, (row = makeRow(batch)));
  if (row.batch !== batch) fillRow(row, batch, now);
  const open = list.chosen !== null && list.chosen.seq === batch.seq;
  if (row.open !== open || (open && row.detailed !== batch)) openRow(row, open, now);
  return row;
}

function makeRow(batch) {
  const row = { batch: null, open: false, detailed: null, drawn: "" };
  row.name = element("button", { type: "button", class: "name mono", "aria-expanded": "false" }, visible(batch.id));
  row.name.addEventListener("click", () => choose(row.open ? null : row.batch));
  row.labels = element("span", { class: "labels" });
  row.model = element("span", { class: "foreign", dir: "auto" });
  row.phase = element("span", {});
  row.word = element("span", { class: "word mono foreign" });
  row.course = element("div", { class: "course", "aria-hidden": "true" });
  row.done = element("div", { class: "done", "aria-hidden": "true" });
  row.count = element("span", {});
  row.life = element("span", { class: "life" });
  row.marks = element("p", { class: "marks" });
  row.node = element(
    "li",
    { class: "batch" },
    element("p", { class: "head" }, row.name, " ", row.labels),
    element("p", { class: "standing" }, row.word, " ", row.phase),
    row.course,
    row.done,
    element("p", { class: "foot" }, row.count, " ", element("span", { class: "target" }, `${batch.dialect} `, row.model), " ", row.life),
    row.marks,
  );
  return row;
}

function fillRow(row, batch, now) {
  row.batch = batch;
  row.drawn = "";
  say(row.model, visible(batch.model || "model not told"));
  say(row.phase, batch.phase);
  row.phase.className = isOver(batch) ? `badge ${ENDED[batch.phase]}`.trim() : "badge now";
  say(row.word, visible(batch.word));
  row.labels.replaceChildren(...(batch.labels ?? []).slice(0, 3).map((label) => foreign(label, "tag")));
  row.marks.replaceChildren(...(batch.faults ?? []).map((rule) => element("span", { class: "fault" }, "fault ", foreign(rule, "mono"))));
  row.marks.hidden = row.marks.childElementCount === 0;
  drawCourse(row, now);
  drawRow(row, now);
}

// What changes with the clock alone.
function tickBatches(now) {
  for (const row of rows.values()) if (!isOver(row.batch) || row.batch.hidden) drawRow(row, now);
}

function drawRow(row, now) {
  const { batch } = row;
  if (!isOver(batch)) drawCourse(row, now);
  drawDone(row, now);
  say(row.count, countOfRows(batch, now));
  say(row.life, lifeText(batch, now));
}

// The legs as they are by now: one that lasts longer than planned pushes those behind it.
function legsOf(batch, now) {
  const legs = (batch.legs ?? []).map(([phase, start, end]) => ({ phase, start, end }));
  if (isOver(batch)) return legs;
  const at = legs.findIndex((leg) => leg.phase === batch.phase);
  const late = at < 0 ? 0 : now - legs[at].end;
  if (late > 0) {
    legs[at].end += late;
    for (const leg of legs.slice(at + 1)) {
      leg.start += late;
      leg.end += late;
    }
  }
  return legs;
}

function drawCourse(row, now) {
  const { batch } = row;
  const legs = legsOf(batch, now);
  const end = Math.max(batch.ended ?? 0, ...legs.map((leg) => leg.end), batch.created + 1);
  const share = (at) => Math.min(100, Math.max(0, ((at - batch.created) / (end - batch.created)) * 100));
  const past = isOver(batch) ? 100 : share(now);
  const drawn = `${legs.map((leg) => leg.phase + share(leg.end).toFixed(1)).join()} ${past.toFixed(1)}`;
  if (drawn === row.drawn) return;
  row.drawn = drawn;
  const parts = legs.length ? legs : [{ phase: "finalizing", start: batch.created, end }];
  while (row.course.childElementCount > parts.length + 1) row.course.firstElementChild.remove();
  while (row.course.childElementCount < parts.length + 1) row.course.prepend(element("i"));
  parts.forEach((leg, place) => {
    const part = row.course.children[place];
    part.className = `leg ${leg.phase}`;
    part.style.left = `${share(leg.start)}%`;
    part.style.width = `${share(leg.end) - share(leg.start)}%`;
  });
  const veil = row.course.lastElementChild;
  veil.className = "veil";
  veil.style.left = `${past}%`;
  veil.hidden = past >= 100;
}

// How many rows count as done: as the plan says, but never more than there are answers.
function doneRows(batch, now) {
  if (batch.rows === undefined || batch.begun === undefined) return 0;
  const at = Math.min(now, batch.stop ?? Infinity);
  if (at < batch.begun) return 0;
  const part = batch.run === undefined ? 1 : Math.min(1, (at - batch.begun) / batch.run);
  return Math.min(Math.floor(batch.rows * part), batch.answered ?? Infinity);
}

function outcomesOf(batch) {
  return ["succeeded", "errored", "expired", "cancelled"].map((kind) => [kind, batch[kind] ?? 0]).filter(([, value]) => value > 0);
}

function drawDone(row, now) {
  const { batch } = row;
  const parts = isOver(batch) ? outcomesOf(batch) : [["running", doneRows(batch, now)]];
  const whole = Math.max(batch.rows ?? 0, parts.reduce((sum, [, value]) => sum + value, 0), 1);
  while (row.done.childElementCount > parts.length) row.done.lastElementChild.remove();
  while (row.done.childElementCount < parts.length) row.done.append(element("i"));
  parts.forEach(([kind, value], place) => {
    const part = row.done.children[place];
    const width = `${((value / whole) * 100).toFixed(1)}%`;
    if (part.className !== kind) part.className = kind;
    if (part.style.width !== width) part.style.width = width;
  });
}

function countOfRows(batch, now) {
  if (isOver(batch)) {
    const outcomes = outcomesOf(batch);
    if (outcomes.length === 1) return `${plural(outcomes[0][1], "row")} ${outcomes[0][0]}`;
    if (outcomes.length) return `${plural(batch.rows ?? 0, "row")}: ${outcomes.map(([kind, value]) => `${count(value)} ${kind}`).join(", ")}`;
    return batch.rows === undefined ? "no row was run" : `${plural(batch.rows, "row")}, none with a result`;
  }
  return batch.rows === undefined ? "rows not read yet" : `${count(doneRows(batch, now))} of ${plural(batch.rows, "row")}`;
}

function lifeText(batch, now) {
  const hidden = batch.hidden && batch.hidden > now ? `; hidden from its client until ${timeOf(batch.hidden, now)}` : "";
  if (!isOver(batch)) {
    const leg = legsOf(batch, now).find((each) => each.phase === batch.phase && each.end >= now) ?? { start: batch.created };
    return `${batch.phase} for ${duration(now - leg.start)}${hidden}`;
  }
  const at = `at ${timeOf(batch.ended, now)}`;
  const lasted = duration(batch.ended - batch.created);
  if (batch.phase === "cancelled") return `cancelled ${at}, ${duration(batch.ended - batch.cancel)} after the request${hidden}`;
  if (batch.phase === "expired") return `expired ${at}: its window of ${duration(batch.expires - batch.created)} closed${hidden}`;
  if (batch.phase === "failed") return `failed ${at}, after ${lasted}: ${visible(batch.problem ?? "")}${hidden}`;
  return `ended ${at}, after ${lasted}${hidden}`;
}

// All that is known of the one batch that was chosen, under its row.
function openRow(row, open, now) {
  row.open = open;
  row.name.setAttribute("aria-expanded", String(open));
  row.node.classList.toggle("open", open);
  row.facts?.remove();
  row.detailed = open ? row.batch : null;
  if (!open) return;
  const { batch } = row;
  const fact = (name, value) => (value === null || value === "" ? [] : [element("div", {}, element("dt", {}, name), element("dd", {}, value))]);
  const started = (phase) => (batch.legs ?? []).find((leg) => leg[0] === phase && leg[1] <= (batch.ended ?? now))?.[1];
  const time = (at) => (at === undefined ? null : timeOf(at, now, 3));
  const all = (texts) => (texts?.length ? element("ul", {}, ...texts.map((text) => element("li", {}, foreign(text, "mono")))) : null);
  row.facts = element(
    "dl",
    { class: "details" },
    ...fact("Created", time(batch.created)),
    ...fact("Running since", time(started("running"))),
    ...fact("Finalizing since", time(started("finalizing"))),
    ...fact("Cancel asked for", time(batch.cancel)),
    ...fact("Ended", time(batch.ended)),
    ...fact("Planned end", isOver(batch) || !batch.legs?.length ? null : time(batch.legs.at(-1)[2])),
    ...fact("Window closes", time(batch.expires)),
    ...fact("Endpoint", batch.endpoint ? foreign(batch.endpoint, "mono") : null),
    ...fact("Tokens", batch.input_tokens || batch.output_tokens ? `${count(batch.input_tokens ?? 0)} in, ${count(batch.output_tokens ?? 0)} out` : null),
    ...fact("Problems", batch.problems > 1 ? `${count(batch.problems)}, the first: ${visible(batch.problem)}` : null),
    ...fact("Labels", all(batch.labels)),
    ...fact("Faults that befall it", all(batch.faults)),
    ...fact("Its files", all((batch.about ?? []).slice(1))),
  );
  row.node.append(row.facts);
}
