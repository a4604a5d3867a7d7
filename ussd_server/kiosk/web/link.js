// The page's line to its process: one WebSocket, opened again when it breaks.

const AGAIN_MS = 1000;

/** Connect, hand each state to `show` and the line's condition to `changed`; returns `say(command)`. */
export function connect(show, changed) {
  let socket = null;

  function open() {
    const address = new URL("socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.addEventListener("open", () => changed(true));
    socket.addEventListener("message", (event) => show(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      changed(false);
      setTimeout(open, AGAIN_MS);
    });
  }

  open();
  return (command) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command));
  };
}
