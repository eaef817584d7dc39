// A WebSocket proxy of two halves with back-pressure: proxy.cjs client|server LISTEN TO
const net = require('node:net');
const http = require('node:http');
const { WebSocket, WebSocketServer } = require('ws');
const [mode, listen, to] = process.argv.slice(2);

function join(socket, ws) {
  socket.setNoDelay(true);
  socket.on('data', (bytes) => {
    ws.send(bytes, () => {
      if (socket.isPaused() && ws.bufferedAmount < 256 * 1024) socket.resume();
    });
    if (ws.bufferedAmount > 1024 * 1024) socket.pause();
  });
  ws.on('message', (bytes) => {
    if (socket.write(bytes)) return;
    ws.pause();
    socket.once('drain', () => ws.resume());
  });
  socket.on('close', () => ws.close());
  socket.on('error', () => ws.terminate());
  ws.on('close', () => socket.end());
  ws.on('error', () => socket.destroy());
}

if (mode === 'client') {
  const accept = (socket) => {
    socket.pause();
    const ws = new WebSocket(`ws://127.0.0.1:${to}/`, { perMessageDeflate: false });
    ws.on('open', () => {
      ws._socket.setNoDelay(true);
      join(socket, ws);
      socket.resume();
    });
    ws.on('error', () => socket.destroy());
  };
  net.createServer(accept).listen(Number(listen), '127.0.0.1');
} else {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (ws) => {
    ws._socket.setNoDelay(true);
    ws.pause();
    const socket = net.connect(Number(to), '127.0.0.1', () => {
      join(socket, ws);
      ws.resume();
    });
    socket.on('error', () => ws.terminate());
  });
  server.listen(Number(listen), '127.0.0.1');
}
