// Draws a dashboard with what `ci/watching` kept of a real Prometheus, and takes a picture of it in Chromium. Fails where a
// panel shows nothing or a component throws.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { build } from 'esbuild';

const here = new URL('.', import.meta.url).pathname;
const root = `${here}../../../`;
const [name, picture] = process.argv.slice(2);
const dashboard = readFileSync(`${root}deploy/grafana/dashboards/${name}.json`, 'utf8');
const shown = readFileSync(`${root}target/watching/${name}.json`, 'utf8');
const folder = mkdtempSync(`${tmpdir()}/draw-`);

/** Gives the default export of a CommonJS module to modules that are named `.mjs`, as Grafana's own bundler does. */
const defaults = {
  name: 'defaults',
  setup(build) {
    build.onResolve({ filter: /^react-custom-scrollbars-2$/ }, ({ path, importer }) => (importer.endsWith('.mjs') ? { path, namespace: 'defaults' } : undefined));
    build.onLoad({ filter: /.*/, namespace: 'defaults' }, ({ path }) => ({ contents: `module.exports = require('${path}').default;`, resolveDir: here, loader: 'js' }));
  },
};

try {
  await build({
    entryPoints: [`${here}page.tsx`], bundle: true, plugins: [defaults], outfile: `${folder}/page.js`, format: 'iife', jsx: 'automatic', minify: true,
    define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'window' }, logLevel: 'error',
    loader: { '.svg': 'dataurl', '.png': 'dataurl', '.ttf': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl' },
  });
  const quoted = (json) => json.replaceAll('<', '\\u003c');
  const bottom = Math.max(...JSON.parse(dashboard).panels.map((panel) => panel.gridPos.y + panel.gridPos.h));
  const height = 56 + bottom * 38 + 8;
  writeFileSync(`${folder}/page.html`, `<!doctype html><meta charset="utf-8"><title>${name}</title>
<link rel="stylesheet" href="page.css"><style>body { margin: 0; background: #111217; font-family: Inter, "DejaVu Sans", sans-serif; }</style>
<div id="root"></div><script>window.dashboard = ${quoted(dashboard)}; window.shown = ${quoted(shown)};</script><script src="page.js"></script>
<script>setTimeout(() => { document.title = 'drawn'; const told = document.createElement('meta'); told.name = 'problems'; told.content = JSON.stringify(window.problems); document.head.append(told); }, 5000);</script>`);
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--allow-file-access-from-files', `--user-data-dir=${folder}/browser`,
    `--window-size=1480,${height}`, '--virtual-time-budget=15000'];
  const chromium = (...more) => execFileSync('chromium', [...flags, ...more, `file://${folder}/page.html`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], timeout: 120000, maxBuffer: 1 << 28 });
  const page = chromium('--dump-dom');
  const told = /<meta name="problems" content="([^"]*)"/.exec(page);
  const problems = told === null ? ['the page did not come to its end'] : JSON.parse(told[1].replaceAll('&quot;', '"').replaceAll('&amp;', '&'));
  if (problems.length > 0) throw new Error(`the dashboard is not drawn whole:\n  ${problems.join('\n  ')}`);
  chromium(`--screenshot=${picture}`);
  console.log(`${name} is drawn with Grafana's components: ${picture}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
