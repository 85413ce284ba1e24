// Runs beside a command that has no network: carries what it sends to a port of its own to the gate's socket.
const net = require("node:net");

const [socket, port] = process.argv.slice(2);

net
  .createServer({ allowHalfOpen: true }, (client) => {
    const gate = net.connect({ path: socket, allowHalfOpen: true });
    client.pipe(gate).pipe(client);
    client.on("error", () => gate.destroy());
    gate.on("error", () => client.destroy());
  })
  .listen(Number(port), "127.0.0.1");
