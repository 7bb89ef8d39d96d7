// A stream of server-sent events that comes back: the browser tries again by itself after a break, this does after a refusal.
// `where` gives the address for the id of the last event; the returned function ends it.
const pause = 3000; // milliseconds

export function follow(where, on, state = () => {}) {
  let stream = null;
  let timer = 0;
  let last = "";
  const open = () => {
    stream = new EventSource(where(last));
    stream.addEventListener("open", () => state(true));
    stream.addEventListener("error", () => {
      state(false);
      if (stream.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      timer = setTimeout(open, pause);
    });
    for (const [name, act] of Object.entries(on)) {
      stream.addEventListener(name, (event) => { last = event.lastEventId || last; act(event); });
    }
  };
  open();
  return () => { clearTimeout(timer); stream.close(); };
}
