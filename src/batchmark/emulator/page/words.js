// Figures and foreign texts as words, and elements made of them.

function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
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

function count(value) {
  return value.toLocaleString("en");
}

function plural(value, word, words = `${word}s`) {
  return `${count(value)} ${value === 1 ? word : words}`;
}

function moment(ms, digits = 0) {
  return `${new Date(ms).toISOString().slice(0, digits ? 20 + digits : 19).replace("T", " ")} UTC`;
}

// The time of day, with the date where it is not today's.
function timeOf(ms, today, digits = 0) {
  const text = new Date(ms).toISOString();
  const time = text.slice(11, digits ? 20 + digits : 19);
  return text.slice(0, 10) === new Date(today).toISOString().slice(0, 10) ? time : `${text.slice(0, 10)} ${time}`;
}

// Foreign text: what would break its line or change its direction is spelled out.
function visible(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (letter) => {
    const code = letter.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
  });
}

function foreign(text, more = "") {
  return element("span", { class: `foreign ${more}`.trim(), dir: "auto" }, visible(text));
}

// An element with attributes and children. Texts become text nodes, so nothing in them is ever read as HTML.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Writing the same text again would cost the browser a layout.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Puts the nodes for `items` into `list` in this order, and keeps those that are there already.
function arrange(list, items, nodeOf) {
  let at = list.firstElementChild;
  for (const item of items) {
    const node = nodeOf(item);
    if (node === at) at = at.nextElementSibling;
    else list.insertBefore(node, at);
  }
  while (at) {
    const next = at.nextElementSibling;
    at.remove();
    at = next;
  }
}
