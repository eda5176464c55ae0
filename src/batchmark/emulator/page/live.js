// The stream of events, and when the page is drawn: after news, and by the clock for what moves by itself.

const TICK_MS = 250;
const AGAIN_MS = 5000;
const RULES_OPEN = 4; // of rules and limits; further ones are folded away
const form = document.querySelector("form.filters");
const stateLine = document.getElementById("state");
const page = { world: null, about: null, source: null, mark: "", paused: false, due: false, again: 0 };

function connect() {
  if (page.source || page.paused || document.hidden) return;
  clearTimeout(page.again);
  const after = page.mark ? `?after=${encodeURIComponent(page.mark)}` : "";
  const source = (page.source = new EventSource(`/_emulator/events${after}`));
  source.addEventListener("open", () => tell("live"));
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) {
      tell("not connected: trying again");
      return;
    }
    // The browser gives up on a refusal; we do not.
    disconnect();
    tell(`refused, perhaps because too many pages are open: trying again every ${AGAIN_MS / 1000} s`);
    page.again = setTimeout(connect, AGAIN_MS);
  });
  const on = (name, take) =>
    source.addEventListener(name, (event) => {
      take(JSON.parse(event.data));
      if (event.lastEventId) page.mark = event.lastEventId;
      drawSoon();
    });
  on("status", takeStatus);
  on("batches", takeBatches);
  on("journal", takeCalls);
}

function disconnect() {
  page.source?.close();
  page.source = null;
}

function tell(text) {
  stateLine.classList.toggle("lost", text !== "live" && text !== "paused");
  say(stateLine, text);
}

function takeStatus(status) {
  if (page.world !== status.world) {
    forgetCalls();
    batches.clear();
    list.chosen = null;
    page.world = status.world;
  }
  page.about = status;
  setClock(status.clock);
}

function drawSoon() {
  if (page.due) return;
  page.due = true;
  requestAnimationFrame(draw);
}

function draw() {
  page.due = false;
  const now = emulatedNow();
  const filter = { dialect: form.elements.dialect.value, state: form.elements.state.value };
  if (page.about) showFacts(page.about);
  showBatches(filter, now);
  showCalls(filter, list.chosen, now);
  const { chosen } = list;
  const line = document.getElementById("chosen");
  line.hidden = chosen === null;
  if (chosen) say(line.querySelector(".foreign"), visible(chosen.id));
  tick();
}

function tick() {
  if (!clock.line || document.hidden) return;
  const now = emulatedNow();
  say(document.getElementById("clock"), moment(now));
  say(document.getElementById("pace"), clock.line.scale === 1 ? "" : paceText(clock.line.scale));
  if (!page.paused) tickBatches(now);
}

let facts = "";
function showFacts(about) {
  const told = JSON.stringify([about, clock.line.scale]);
  if (told === facts) return;
  facts = told;
  const fact = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
  const lines = (texts) => element("ul", {}, ...texts.map((text) => element("li", {}, foreign(text, "mono"))));
  const rules = (texts, none) => {
    if (!texts.length) return [none];
    if (texts.length <= RULES_OPEN) return [lines(texts)];
    const rest = texts.slice(RULES_OPEN);
    return [lines(texts.slice(0, RULES_OPEN)), element("details", {}, element("summary", {}, `${count(rest.length)} more`), lines(rest))];
  };
  say(document.querySelector(".kicker"), `${about.name} ${about.version}`);
  document.getElementById("facts").replaceChildren(
    fact("Profile", foreign(about.profile)),
    fact("Answers", foreign(about.answers)),
    fact("Clock", clock.line.scale === 0 ? "frozen" : `runs ${paceText(clock.line.scale)}`),
    fact("Limits", ...rules(about.limits.map(([name, value]) => `${name}=${value === null ? "none" : value}`), "as the services have them")),
    fact("Faults in force", ...rules(about.faults, "none")),
  );
}

function choose(batch) {
  list.chosen = batch;
  journal.limit = CALLS_PAGE;
  drawSoon();
  const section = document.querySelector(".journal");
  section.querySelector(".scroll").scrollTop = 0;
}

form.addEventListener("input", drawSoon);
form.addEventListener("submit", (event) => event.preventDefault());
document.querySelector("#chosen button").addEventListener("click", () => choose(null));
document.getElementById("more-batches").addEventListener("click", () => {
  list.limit = Math.min(MOST, list.limit + PAGE);
  drawSoon();
});
document.getElementById("more-calls").addEventListener("click", () => {
  journal.limit = Math.min(CALLS_MOST, journal.limit + CALLS_PAGE);
  drawSoon();
});
// What happens meanwhile is sent when the page goes on.
document.getElementById("pause").addEventListener("click", (event) => {
  page.paused = !page.paused;
  event.target.setAttribute("aria-pressed", String(page.paused));
  clearTimeout(page.again);
  disconnect();
  tell(page.paused ? "paused" : "connecting");
  connect();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && list.chosen) choose(null);
});
// A page that nobody sees needs no stream; what it missed is sent when it is looked at again.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
addEventListener("pagehide", disconnect);
addEventListener("pageshow", connect);
document.documentElement.classList.add("scripted");
for (const each of document.querySelectorAll("#how .origin")) say(each, location.origin);
setInterval(tick, TICK_MS);
connect();
