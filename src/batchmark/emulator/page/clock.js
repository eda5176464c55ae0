// The emulator's clock, at its own pace: a straight line, told by the server whenever it is another one.

const clock = { line: null, skew: 0 };

function setClock(line) {
  clock.line = line;
  clock.skew = Date.now() - line.now; // the page may stand on another machine, at the other end of a tunnel
}

// What it shows at this moment, in milliseconds since 1970; 0 before anything is known.
function emulatedNow() {
  const { line, skew } = clock;
  return line === null ? 0 : line.emulated + (Date.now() - skew - line.real) * line.scale;
}

function paceText(scale) {
  if (scale === 0) return "frozen";
  return scale === 1 ? "as fast as yours" : `${count(scale)} times as fast as yours`;
}
