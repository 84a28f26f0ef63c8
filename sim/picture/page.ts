import { readFileSync } from 'node:fs'
import type { Picture } from './picture.ts'
import { style } from './style.ts'

/** The page's script, each file after those that it imports. */
export const viewerFiles = [
  'model.js',
  'past.js',
  'logs.js',
  'layout.js',
  'draw-traffic.js',
  'draw.js',
  'overview.js',
  'pick.js',
  'panels.js',
  'main.js',
] as const

/** One HTML file that holds everything: opened with a double click, it asks no network for anything. */
export function pageOf(picture: Picture): string {
  const title = `Flotilla simulation, seed ${picture.seed}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
${body}
<script type="application/json" id="picture">${jsonIn(picture)}</script>
<script type="module">
${script()}
</script>
</body>
</html>
`
}

/** JSON that can't end the element that it stands in. */
function jsonIn(picture: Picture): string {
  return JSON.stringify(picture).replaceAll('<', String.raw`\u003c`)
}

/** One module: the files one after the other, without what ties them together. */
export function script(): string {
  return viewerFiles
    .map((file) => readFileSync(new URL(`./viewer/${file}`, import.meta.url), 'utf8'))
    .map((text) =>
      text.replaceAll(/^import [^;]*?from '[^']+';?\n/gm, '').replaceAll(/^export (?=function|const)/gm, ''),
    )
    .join('\n')
}

const legend = [
  ['swatch leader', 'leads'],
  ['swatch candidate', 'stands for election'],
  ['swatch follower', 'follows'],
  ['swatch down', 'down'],
  ['swatch cut', 'cut off'],
  ['swatch pause', 'stands still'],
  ['swatch fault', 'other fault'],
  ['line commit', 'committed: durable on a majority'],
  ['cross', 'lost, or the end of a process'],
  ['swatch call-answered', 'call answered'],
  ['swatch call-refused', 'refused'],
  ['swatch call-no-answer', 'no answer'],
]
  .map(([look, text]) => `<li><i class="${look}"></i>${text}</li>`)
  .join('')

const body = `<header>
<div class="facts">
<h1>Flotilla simulation</h1>
<span id="about"></span>
<dl>
<div><dt>seed</dt><dd id="seed"></dd></div>
<div><dt>version</dt><dd id="version"></dd></div>
<div><dt>digest</dt><dd id="digest"></dd></div>
<div class="wide"><dt>again</dt><dd><code id="replay"></code><button id="copy" title="copy the command">copy</button></dd></div>
</dl>
<button id="theme" title="light or dark">light / dark</button>
</div>
<div id="verdict"></div>
</header>
<nav aria-label="what is shown">
<button id="to-violation" title="v">jump to the first violation</button>
<span class="group"><button id="back" title="← one thing back">◂ back</button><button id="on" title="→ one thing on">on ▸</button></span>
<span class="group"><button id="zoom-in" title="+">zoom in</button><button id="zoom-out" title="-">out</button><button id="fit" title="f">whole run</button></span>
<label>partition <select id="partition"></select></label>
<span id="kinds" class="group"></span>
<button id="clear" title="Escape">clear selection</button>
</nav>
<main>
<section id="stage" aria-label="space-time diagram"><canvas id="canvas" role="img" aria-label="nodes and clients as lanes, time from left to right; the list beside it says the same in words"></canvas></section>
<aside>
<section><h2>What happened</h2><ol id="story" class="lines"></ol></section>
<section><h2>Selected</h2><div id="selected"></div></section>
<section class="logs"><h2 id="logs-title"></h2><div class="scroll"><table id="logs"></table></div></section>
</aside>
</main>
<section class="strip">
<canvas id="overview" aria-hidden="true"></canvas>
<input id="scrubber" type="range" min="0" step="1" aria-label="time">
</section>
<footer><ul class="legend">${legend}</ul>
<p>Wheel: zoom. Drag: move. Click: what it was, and what led to it. Keys: ← → one thing, + − zoom, v violation, f whole run, Esc clear. <span id="left-out"></span></p></footer>
<div id="tip" hidden></div>`
