// The list of all jobs: filtered, sorted, fifty a page; every chart leads here, so that each figure can be traced to its row.

const PAGE = 50;
const explorer = { order: [], page: 0, sort: null, down: false, open: new Set(), chosen: null };

const COLUMNS = [
  { name: "Job", key: (job) => jobs.id[job], text: null },
  { name: "Target", key: (job) => jobs.target[job], text: (job) => targets[jobs.target[job]].name },
  { name: "Round", key: (job) => jobs.round[job], text: (job) => count(jobs.round[job]), number: true },
  { name: "State", key: (job) => jobs.state[job], text: (job) => jobs.state[job] },
  { name: "Submitted", key: (job) => jobs.submitted_ms[job], text: (job) => moment(jobs.submitted_ms[job]) },
  { name: "Turnaround", key: (job) => jobs.turnaround_ms[job], text: turnaroundText, number: true },
  { name: "To completion", key: (job) => jobs.completion_ms[job], text: (job) => orNone(jobs.completion_ms[job]), number: true },
  { name: "Succeeded", key: (job) => jobs.succeeded[job], text: succeededText, number: true },
  { name: "Cost", key: (job) => valueOf("cost_nano_usd", job), text: (job) => ("cost_nano_usd" in jobs ? money(valueOf("cost_nano_usd", job)) : "–"), number: true },
];

function orNone(ms) {
  return ms === null ? "none" : duration(ms);
}

function turnaroundText(job) {
  if (isFinished(job)) return `${duration(jobs.turnaround_ms[job])}${jobs.polled[job] ? " (polled)" : ""}`;
  return jobs.unfinished_ms[job] === null ? "none" : `> ${duration(jobs.unfinished_ms[job])}`;
}

function succeededText(job) {
  return jobs.succeeded[job] === null ? "not told" : `${count(jobs.succeeded[job])} of ${count(jobs.rows[job])}`;
}

function startExplorer() {
  const root = document.getElementById("explorer");
  if (!root) return;
  const form = root.querySelector("form");
  for (const state of [...new Set(jobs.state)].sort()) form.elements.state.append(element("option", { value: state }, state));
  form.addEventListener("input", () => filter(0));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of root.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => showPage(explorer.page + Number(button.dataset.go)));
  }
  COLUMNS.forEach((column, place) => {
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => sortBy(place));
    root.querySelector("thead tr").append(element("th", { scope: "col", class: column.number ? "num" : null }, button));
  });
  filter(0);
  addEventListener("hashchange", followHash);
  followHash();
}

function form() {
  return document.querySelector("#explorer form").elements;
}

function filter(page) {
  const { target, state, text } = form();
  const wanted = text.value.trim().toLowerCase();
  const searched = ["id", "batches", "problem", "origin"].filter((name) => name in jobs);
  explorer.order = [];
  for (let job = 0; job < jobCount; job++) {
    if (target.value !== "" && jobs.target[job] !== Number(target.value)) continue;
    if (state.value !== "" && jobs.state[job] !== state.value) continue;
    if (wanted && !searched.some((name) => (jobs[name][job] ?? "").toLowerCase().includes(wanted))) continue;
    explorer.order.push(job);
  }
  if (explorer.sort !== null) {
    const { key } = COLUMNS[explorer.sort];
    const sign = explorer.down ? -1 : 1;
    // what is not known comes last, whichever way
    const compare = (a, b) => (a === null ? 1 : b === null ? -1 : sign * (a < b ? -1 : a > b ? 1 : 0));
    const keys = new Map(explorer.order.map((job) => [job, key(job)]));
    explorer.order.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : compare(keys.get(a), keys.get(b))));
  }
  showPage(page);
}

function sortBy(place) {
  explorer.down = explorer.sort === place && !explorer.down;
  explorer.sort = place;
  document.querySelectorAll("#explorer thead th").forEach((head, index) => {
    if (index === place) head.setAttribute("aria-sort", explorer.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  filter(0);
}

function showPage(page) {
  const root = document.getElementById("explorer");
  const pages = Math.max(1, Math.ceil(explorer.order.length / PAGE));
  explorer.page = Math.min(pages - 1, Math.max(0, page));
  const shown = explorer.order.slice(explorer.page * PAGE, (explorer.page + 1) * PAGE);
  root.querySelector("tbody").replaceChildren(...shown.flatMap(rowsOf));
  const all = explorer.order.length === jobCount ? "" : ` of ${count(jobCount)}`;
  root.querySelector(".count").textContent = `${count(explorer.order.length)}${all} jobs`;
  root.querySelector(".where").textContent = `Page ${count(explorer.page + 1)} of ${count(pages)}`;
  root.querySelector(".pager").hidden = pages === 1;
  const [back, on] = root.querySelectorAll("[data-go]");
  back.disabled = explorer.page === 0;
  on.disabled = explorer.page === pages - 1;
}

function rowsOf(job) {
  const open = explorer.open.has(job);
  const row = element("tr", { "data-job": job, class: explorer.chosen === job ? "chosen" : null });
  const button = element("button", { type: "button", class: "mono", "aria-expanded": String(open) }, jobs.id[job]);
  button.addEventListener("click", () => toggle(job));
  row.append(element("th", { scope: "row" }, button));
  for (const column of COLUMNS.slice(1)) {
    row.append(element("td", { class: column.number ? "num" : null }, column.text(job)));
  }
  if (targets[jobs.target[job]].emulated && jobs.emulated[job]) row.children[1].append(" ", element("span", { class: "badge warn" }, "emulated"));
  return open ? [row, element("tr", { class: "all" }, element("td", { colspan: COLUMNS.length }, details(job)))] : [row];
}

function toggle(job) {
  if (!explorer.open.delete(job)) explorer.open.add(job);
  showPage(explorer.page);
  document.querySelector(`#explorer tr[data-job="${job}"] button`).focus();
}

// All that is known of one job, by whose clock it is.
function details(job) {
  const seconds = (name) => (name in jobs ? exactSeconds(jobs[name][job]) : null);
  const plain = (name) => (name in jobs && jobs[name][job] !== null ? count(jobs[name][job]) : null);
  const costs = valueOf("cost_nano_usd", job);
  const unfinished = !isFinished(job) && jobs.unfinished_ms[job] !== null;
  const groups = [
    ["Provider's clock", [
      ["Accepted", moment(jobs.submitted_ms[job])],
      ["Queued", seconds("queue_ms")],
      ["Running", seconds("run_ms")],
      ["Finalizing", seconds("finalize_ms")],
      ["Turnaround", seconds("turnaround_ms") + (jobs.polled[job] ? " (from our polls)" : "")],
      ["Longer than", unfinished ? seconds("unfinished_ms") : null],
    ]],
    ["Our clock", [
      ["Submitting", seconds("submit_ms")],
      ["Downloading", seconds("download_ms")],
      ["To completion", seconds("completion_ms")],
    ]],
    ["Requests", ["rows", "submitted", "succeeded", "errored", "expired", "cancelled", "missing"].map((name) => [name[0].toUpperCase() + name.slice(1), plain(name)])],
    ["Tokens and cost", [
      ["Input tokens", plain("input_tokens")],
      ["Output tokens", plain("output_tokens")],
      ["Cost", "cost_nano_usd" in jobs ? (costs === null ? "unknown" : `$${(costs / 1e9).toFixed(9)}`) : null],
    ]],
    ["Where it comes from", [
      ["Batches", valueOf("batches", job) || null],
      ["Origin", valueOf("origin", job) || null],
      ["Problem", valueOf("problem", job)],
      ["Emulated", jobs.emulated[job] ? "yes" : "no"],
    ]],
  ];
  return element(
    "div",
    { class: "job-facts" },
    ...groups.map(([title, facts]) =>
      element(
        "dl",
        {},
        element("div", { class: "head" }, element("dt", {}, title)),
        ...facts.filter(([, text]) => text !== null).map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))),
      ),
    ),
  );
}

// From a chart, or from a link: the job's row, opened, in sight and with the keyboard's focus.
function openJob(job) {
  const hash = `#job-${encodeURIComponent(jobs.id[job])}`;
  hideTip();
  if (location.hash === hash) reveal(job);
  else location.hash = hash;
}

function followHash() {
  const found = /^#job-(.*)$/.exec(location.hash);
  if (!found) return;
  let id = found[1];
  try {
    id = decodeURIComponent(id);
  } catch {
    return;
  }
  const job = jobById(id);
  if (job >= 0) reveal(job);
}

function reveal(job) {
  if (!explorer.order.includes(job)) {
    const { target, state, text } = form();
    target.value = state.value = text.value = "";
    filter(0);
  }
  explorer.chosen = job;
  explorer.open.add(job);
  showPage(Math.floor(explorer.order.indexOf(job) / PAGE));
  const row = document.querySelector(`#explorer tr[data-job="${job}"]`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button").focus({ preventScroll: true });
}
