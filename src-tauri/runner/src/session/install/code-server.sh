# Brings code-server into the session's home, with the Node.js that it asks for.
set -e
lacks=
need() { [ -e "$1" ] || lacks="$lacks $2"; }
tool() { command -v "$1" >/dev/null || lacks="$lacks $2"; }
# Parts of it are compiled here.
tool make build-essential
tool g++ build-essential
tool python3 python3
tool pkg-config pkg-config
need /usr/include/gssapi/gssapi.h libkrb5-dev
need /usr/include/X11/Xlib.h libx11-dev
need /usr/include/X11/extensions/XKBfile.h libxkbfile-dev
need /usr/include/libsecret-1/libsecret/secret.h libsecret-1-dev
if [ -n "$lacks" ]; then
    lacks=$(printf '%s\n' $lacks | sort -u | tr '\n' ' ')
    echo "VS Code is compiled while it is installed, and this computer lacks what that takes."
    echo "The administrator of this computer can bring it (names as in Debian and Ubuntu):"
    echo "    apt-get install $lacks"
    echo "Then install VS Code into this session again; the session need not be launched anew."
    exit 3
fi
place=$HOME/.local/lib/code-server
# What a try that failed has left can't be built upon.
rm -rf "$place" "$HOME/.local/bin/code-server"
mkdir -p "$place" "$HOME/.local/bin"
export npm_config_cache="$place/cache"
bring() { npm install --prefix "$place" --no-fund --no-audit --foreground-scripts "$@"; }
bring node@24
export PATH="$place/node_modules/.bin:$PATH"
# The compiler wants the headers of that Node.js. Where they can't be fetched, those of this
# computer's own do as well: the compiled parts use Node-API alone, which stays the same.
reach='fetch(process.release.headersUrl, {method: "HEAD"}).then((it) => process.exit(it.ok ? 0 : 1))'
if [ -e /usr/include/node/common.gypi ] &&
    ! NODE_USE_ENV_PROXY=1 timeout 20 node -e "$reach" 2>/dev/null; then
    echo "Node.js offers no headers from here: using those of this computer."
    export npm_config_nodedir=/usr
fi
bring code-server@4.139.1
rm -rf "$place/cache"
# Last: while it is not there, the app is not there.
cat > "$place/code-server" <<'END'
#!/bin/sh
bin=$HOME/.local/lib/code-server/node_modules/.bin
exec "$bin/node" "$bin/code-server" "$@"
END
chmod 755 "$place/code-server"
mv "$place/code-server" "$HOME/.local/bin/code-server"
echo "VS Code is installed."
