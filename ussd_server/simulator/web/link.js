// The page's line to the simulator: one WebSocket, opened again when it breaks.

const AGAIN_MS = 1000;

/** Connect, hand each message to `hear` and the line's state to `changed`; returns `say(command)`, false where the line is down. */
export function connect(hear, changed) {
  let socket = null;

  function open() {
    const address = new URL("socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    socket = new WebSocket(address);
    socket.addEventListener("open", () => changed(true));
    socket.addEventListener("message", (event) => hear(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      changed(false);
      setTimeout(open, AGAIN_MS);
    });
  }

  open();
  return (command) => {
    if (socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(command));
    return true;
  };
}
