// The raw values of the page (see columns.py for their shape), decoded once into plain arrays.

const data = JSON.parse(document.getElementById("data").textContent);
const targets = data.targets;
const jobCount = data.jobs.count;
const jobs = Object.fromEntries(
  Object.entries(data.jobs.columns).map(([name, column]) => [name, decode(column, jobCount)]),
);

function decode(column, count) {
  if (Array.isArray(column)) return column;
  if ("words" in column) return column.at.map((place) => column.words[place]);
  if ("steps" in column) {
    let sum = 0;
    return column.steps.map((step) => (sum += step));
  }
  const values = new Array(count).fill("all" in column ? column.all : column.else);
  for (const [place, value] of Object.entries(column.few ?? {})) values[place] = value;
  return values;
}

// One figure of one job; null where it is not known or not in this page.
function valueOf(name, job) {
  const column = jobs[name];
  return column ? column[job] : null;
}

// A job's time on the turnaround axis: finished, or at least so long.
function timeOf(job) {
  return jobs.turnaround_ms[job] ?? jobs.unfinished_ms[job];
}

function isFinished(job) {
  return jobs.turnaround_ms[job] !== null;
}

function jobById(id) {
  return jobs.id.indexOf(id);
}
