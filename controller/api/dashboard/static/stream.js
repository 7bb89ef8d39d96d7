// Follow a stream of server-sent events and reconnect. The browser reconnects after a broken connection; this also retries
// when the server refuses the stream. `urlFor` returns the URL for the id of the last event. Returns a function that stops.
const pause = 3000; // milliseconds

export function follow(urlFor, handlers, onState = () => {}) {
  let stream = null;
  let timer = 0;
  let last = "";
  const open = () => {
    stream = new EventSource(urlFor(last));
    stream.addEventListener("open", () => onState(true));
    stream.addEventListener("error", () => {
      onState(false);
      if (stream.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      timer = setTimeout(open, pause);
    });
    for (const [name, handle] of Object.entries(handlers)) {
      stream.addEventListener(name, (event) => { last = event.lastEventId || last; handle(event); });
    }
  };
  open();
  return () => { clearTimeout(timer); stream.close(); };
}
