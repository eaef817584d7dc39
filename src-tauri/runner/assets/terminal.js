// The page of the web terminal. Output comes as binary messages; input goes as binary messages,
// the window's size as text. The shell lives on when the page closes; coming back shows its past.
'use strict';
(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const theme = () => dark.matches
    ? { background: '#101418', foreground: '#e6edf3', cursor: '#e6edf3' }
    : { background: '#ffffff', foreground: '#1f2328', cursor: '#1f2328', selectionBackground: '#b6d7ff' };
  const term = new Terminal({
    cursorBlink: true,
    fontFamily: 'ui-monospace, "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
    fontSize: 14,
    scrollback: 10000,
    theme: theme(),
  });
  const fit = new FitAddon.FitAddon();
  term.loadAddon(fit);
  term.loadAddon(new WebLinksAddon.WebLinksAddon());
  term.open(document.getElementById('terminal'));
  dark.addEventListener('change', () => { term.options.theme = theme(); });

  const note = document.getElementById('note');
  const encoder = new TextEncoder();
  const id = new URLSearchParams(location.search).get('id') || 'main';
  let socket;
  let pause = 250;

  // Keys typed while the line is down; more than a person types blind is dropped.
  const MAX_HELD = 1024;
  let held = [];

  const isOpen = () => socket && socket.readyState === WebSocket.OPEN;
  const send = (data) => { if (isOpen()) socket.send(data); };
  const type = (bytes) => {
    if (isOpen()) socket.send(bytes);
    else if (held.length < MAX_HELD) held.push(bytes);
  };
  const sendSize = () => send(JSON.stringify({ columns: term.cols, rows: term.rows }));

  function connect() {
    const address = new URL('ws', location.href);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    address.search = '?id=' + encodeURIComponent(id);
    socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      note.textContent = ''; pause = 250; term.reset(); fit.fit(); sendSize();
      held.splice(0).forEach(send);
    };
    socket.onmessage = (message) => term.write(new Uint8Array(message.data));
    socket.onclose = (event) => {
      if (event.code === 4000) {
        note.textContent = 'The shell has ended. Press Enter for a new one.';
        socket = undefined;
        return;
      }
      note.textContent = 'Connection lost, trying again…';
      setTimeout(connect, pause);
      pause = Math.min(pause * 2, 5000);
    };
  }

  term.onData((text) => {
    if (!socket) { if (text === '\r') connect(); return; }
    type(encoder.encode(text));
  });
  term.onBinary((text) => type(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  term.onResize(sendSize);
  addEventListener('resize', () => fit.fit());
  fit.fit();
  connect();
  term.focus();
})();
