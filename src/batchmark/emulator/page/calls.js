// The journal, newest first: kept in memory up to a bound, drawn up to a smaller one.

const CALLS_KEPT = 5000;
const CALLS_PAGE = 100;
const CALLS_MOST = 500;
const journal = { calls: [], first: 1, last: 0, missed: 0, limit: CALLS_PAGE };
const callNodes = new Map();

function forgetCalls() {
  Object.assign(journal, { calls: [], first: 1, last: 0, missed: 0 });
}

function takeCalls(news) {
  if (journal.last && news.entries.length && news.after > journal.last) journal.missed += news.after - journal.last;
  const had = news.first > journal.first ? journal.calls.filter((call) => call.seq >= news.first) : journal.calls;
  journal.calls = [...had, ...news.entries.filter((call) => call.seq > journal.last)].slice(-CALLS_KEPT);
  journal.first = news.first;
  journal.last = Math.max(journal.last, news.last);
}

function showCalls(filter, chosen, now) {
  const fitting = journal.calls.filter((call) => (chosen ? concerns(call, chosen) : !filter.dialect || call.dialect === filter.dialect));
  const shown = fitting.slice(-journal.limit).reverse();
  arrange(document.getElementById("call-list"), shown, (call) => callNode(call, now));
  const kept = new Set(shown.map((call) => call.seq));
  for (const seq of callNodes.keys()) if (!kept.has(seq)) callNodes.delete(seq);
  document.getElementById("more-calls").hidden = fitting.length <= journal.limit || journal.limit >= CALLS_MOST;
  const all = journal.last - journal.first + 1;
  say(document.getElementById("call-count"), callsText(all, fitting.length, chosen !== null || filter.dialect !== ""));
}

// Whether a call is about a batch or one of its files. One that was refused at the door tells so by its path only.
function concerns(call, batch) {
  return call.dialect === batch.dialect && batch.about.some((name) => call.subject === name || call.path.includes(`/${name}`));
}

function callsText(all, fitting, filtered) {
  if (all === 0) return "No call yet.";
  const held = journal.calls.length;
  const missed = journal.missed ? ` ${plural(journal.missed, "call")} between are left out.` : "";
  const whole = held < all ? `the newest ${count(held)} of ${plural(all, "call")}` : plural(all, "call");
  return `${filtered ? `${count(fitting)} among ${whole}` : whole[0].toUpperCase() + whole.slice(1)}.${missed}`;
}

function callNode(call, now) {
  let node = callNodes.get(call.seq);
  if (!node) callNodes.set(call.seq, (node = makeCall(call, now)));
  return node;
}

function makeCall(call, now) {
  const kind = call.status === 0 || call.status >= 500 ? "bad" : call.status >= 400 ? "warn" : "";
  const about = call.file || call.subject;
  return element(
    "li",
    { class: "call" },
    element(
      "p",
      { class: "head" },
      element("time", { datetime: new Date(call.at).toISOString(), title: moment(call.at, 3) }, timeOf(call.at, now, 3)),
      " ",
      element("span", { class: "dialect" }, call.dialect),
      " ",
      element("span", { class: "operation" }, call.operation),
      " ",
      element("span", { class: `badge ${kind}`.trim() }, call.status === 0 ? "no answer" : String(call.status)),
    ),
    element(
      "p",
      { class: "foot", title: `${call.method} ${visible(call.path)}` },
      call.file ? foreign(call.file, "mono") : "",
      call.file && call.subject ? " · " : "",
      about ? foreign(call.subject ?? "", "mono") : foreign(`${call.method} ${call.path}`, "mono"),
    ),
    ...(call.faults ?? []).map((rule) => element("p", { class: "fault" }, "fault ", foreign(rule, "mono"))),
  );
}
