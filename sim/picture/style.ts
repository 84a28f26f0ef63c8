const light = `
  color-scheme: light;
  --paper: #ffffff; --panel: #f6f7f9; --ink: #1c2430; --soft: #47535f; --faint: #76828f;
  --line: #c9d1d9; --grid: #eceff2; --grid-strong: #b6c0ca;
  --alive: #eef2f6; --down: #d5dae0; --leader: #1d5fbf; --on-leader: #ffffff; --candidate: #e8912d; --follower: #c4d6ec;
  --band-even: #f3f7fd; --band-odd: #fbf6ec; --cut: #c23b3b; --cut-text: #8a1f1f; --pause: #7a5ca8; --fault: #a4551b;
  --commit: #1b8a4b; --bad: #cc1f2f; --on-bad: #ffffff; --cursor: #1c2430; --past: #b0139c;
  --replication: #2c7a7b; --election: #d9480f; --heartbeat: #98a4b0; --snapshot: #7048a8; --client: #4267b2; --connection: #8a8f98;
  --call-open: #9aa5b1; --call-answered: #2f9e5b; --call-refused: #d64545; --call-no-answer: #e0a01b; --call-ended: #7f93ad;
  --term-0: #d7e6fa; --term-1: #fde3c3; --term-2: #d9f0d6; --term-3: #eadcf7; --term-4: #fbd6de; --term-5: #d3efef;`

const dark = `
  color-scheme: dark;
  --paper: #12161c; --panel: #191f27; --ink: #e6ebf1; --soft: #b3bfcb; --faint: #8593a1;
  --line: #323c48; --grid: #1f262f; --grid-strong: #4a5866;
  --alive: #1d242d; --down: #0a0d11; --leader: #4a90ea; --on-leader: #08121f; --candidate: #f0a04b; --follower: #2c4058;
  --band-even: #161d27; --band-odd: #1d1b17; --cut: #e25555; --cut-text: #ffb3b3; --pause: #b79be0; --fault: #e09350;
  --commit: #43c47b; --bad: #ff5964; --on-bad: #1a0507; --cursor: #e6ebf1; --past: #ff7be9;
  --replication: #4fb8b2; --election: #ff8a4c; --heartbeat: #66727f; --snapshot: #b493e6; --client: #7fa4ee; --connection: #6f7782;
  --call-open: #66727f; --call-answered: #3fb873; --call-refused: #ef6b6b; --call-no-answer: #e8b23e; --call-ended: #6d84a3;
  --term-0: #21405f; --term-1: #5a4015; --term-2: #23482a; --term-3: #40305a; --term-4: #5b2733; --term-5: #1d4a4a;`

/** Light and dark follow the system, until somebody presses the button. */
export const style = `
:root {${light} }
@media (prefers-color-scheme: dark) { :root:not([data-theme='light']) {${dark} } }
:root[data-theme='dark'] {${dark} }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.4 system-ui, sans-serif; height: 100vh; min-height: 640px; display: flex; flex-direction: column; }
h1 { font-size: 16px; margin: 0; white-space: nowrap; }
h2 { font-size: 12px; margin: 0 0 4px; color: var(--soft); text-transform: none; }
h3 { font-size: 12px; margin: 8px 0 4px; color: var(--soft); font-weight: 600; }
header { padding: 8px 12px 6px; border-bottom: 1px solid var(--line); background: var(--panel); }
.facts { display: flex; gap: 18px; align-items: center; flex-wrap: wrap; }
dl { display: flex; gap: 16px; margin: 0; flex-wrap: wrap; flex: 1; }
dl div { display: flex; gap: 6px; align-items: baseline; }
dt { color: var(--faint); font-size: 12px; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
code { font: 12px ui-monospace, monospace; background: var(--paper); border: 1px solid var(--line); padding: 1px 6px; border-radius: 4px; overflow-wrap: anywhere; }
#about { color: var(--soft); font-size: 12px; }
#verdict { display: flex; flex-wrap: wrap; gap: 2px 14px; margin-top: 6px; padding: 6px 10px; border-radius: 6px; border-left: 5px solid; }
#verdict.held { border-color: var(--commit); background: color-mix(in srgb, var(--commit) 10%, var(--paper)); }
#verdict.broken { border-color: var(--bad); background: color-mix(in srgb, var(--bad) 10%, var(--paper)); }
#verdict.broken strong { color: var(--bad); }
#verdict .detail { flex-basis: 100%; font: 12px ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 4.2em; overflow: auto; }
#verdict details { flex-basis: 100%; font-size: 12px; color: var(--soft); } #verdict pre { margin: 2px 0; max-height: 12em; overflow: auto; }
nav { display: flex; gap: 8px 12px; padding: 6px 12px; align-items: center; flex-wrap: wrap; border-bottom: 1px solid var(--line); }
nav .group { display: inline-flex; gap: 4px; flex-wrap: wrap; }
button, select { font: inherit; font-size: 13px; color: var(--ink); background: var(--panel); border: 1px solid var(--line); border-radius: 5px; padding: 2px 8px; cursor: pointer; }
button:hover:not(:disabled), select:hover { border-color: var(--faint); }
button:disabled { opacity: 0.45; cursor: default; }
button:focus-visible, select:focus-visible, input:focus-visible { outline: 2px solid var(--past); outline-offset: 1px; }
#to-violation:not(:disabled) { background: var(--bad); color: var(--on-bad); border-color: var(--bad); font-weight: 600; }
#kinds label { display: inline-flex; align-items: center; gap: 4px; font-size: 12px; border: 1px solid var(--line); border-radius: 12px; padding: 1px 8px; cursor: pointer; }
#kinds i { width: 14px; height: 3px; display: inline-block; }
main { display: flex; flex: 1; min-height: 260px; }
#stage { flex: 1; overflow-y: auto; overflow-x: hidden; min-width: 300px; position: relative; }
canvas { display: block; width: 100%; cursor: crosshair; touch-action: none; }
aside { width: 410px; border-left: 1px solid var(--line); display: flex; flex-direction: column; background: var(--panel); }
aside section { padding: 8px 10px; min-height: 0; display: flex; flex-direction: column; flex: 1; }
aside section:nth-child(2) { flex: 0 1 auto; max-height: 45%; }
aside section + section { border-top: 1px solid var(--line); }
#selected { overflow: auto; }
ol.lines { list-style: none; margin: 0; padding: 0; }
#story { overflow: auto; }
.line { display: grid; grid-template-columns: 96px 1fr; gap: 8px; width: 100%; text-align: left; border: 0; background: none; border-radius: 4px; padding: 1px 4px; font-size: 12px; }
.line span { overflow-wrap: anywhere; white-space: pre-wrap; }
.line time { color: var(--faint); text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.weight-1 span { font-weight: 600; }
.weight-2 { background: var(--bad); color: var(--on-bad); }
.weight-2 time { color: inherit; }
li.now .line { box-shadow: inset 3px 0 0 var(--past); background: color-mix(in srgb, var(--past) 12%, transparent); }
li.now .weight-2 { background: var(--bad); }
.hint { color: var(--faint); margin: 0; font-size: 12px; }
.what { margin: 0; font: 12px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--paper); border: 1px solid var(--line); border-radius: 5px; padding: 6px 8px; }
.strip { padding: 4px 12px; border-top: 1px solid var(--line); }
#overview { height: 44px; }
#scrubber { width: 100%; margin: 0; display: block; accent-color: var(--past); }
aside .logs { flex: none; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 2px; font-size: 12px; font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: left; padding: 0 8px 0 0; }
th.index { color: var(--faint); font-weight: 400; text-align: center; padding: 0; font-size: 11px; }
td { text-align: center; min-width: 21px; height: 19px; padding: 0 2px; border-radius: 3px; }
td.none { border: 1px dashed var(--line); }
td.entry { border: 1px solid transparent; opacity: 0.75; }
td.committed { border-color: var(--commit); opacity: 1; }
td.differs { outline: 2px solid var(--bad); }
td.state { text-align: left; color: var(--soft); font-size: 11px; height: auto; padding-bottom: 4px; }
.term-0 { background: var(--term-0); } .term-1 { background: var(--term-1); } .term-2 { background: var(--term-2); }
.term-3 { background: var(--term-3); } .term-4 { background: var(--term-4); } .term-5 { background: var(--term-5); }
footer { padding: 4px 12px 8px; color: var(--faint); font-size: 11px; border-top: 1px solid var(--line); }
footer p { margin: 2px 0 0; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 0; padding: 0; }
.legend li { display: flex; align-items: center; gap: 5px; }
.legend i { display: inline-block; width: 16px; height: 9px; border-radius: 2px; }
.legend .leader { background: var(--leader); } .legend .candidate { background: var(--candidate); } .legend .follower { background: var(--follower); }
.legend .down { background: var(--down); border: 1px solid var(--line); } .legend .cut { background: color-mix(in srgb, var(--cut) 35%, var(--paper)); }
.legend .pause { background: repeating-linear-gradient(135deg, var(--pause) 0 2px, transparent 2px 6px); } .legend .fault { background: var(--fault); height: 4px; }
.legend .commit { width: 2px; height: 12px; background: var(--commit); } .legend .cross { width: auto; height: auto; } .legend .cross::before { content: '✕'; color: var(--bad); font-style: normal; }
.legend .call-answered { background: var(--call-answered); } .legend .call-refused { background: var(--call-refused); } .legend .call-no-answer { background: var(--call-no-answer); }
#tip { position: fixed; max-width: 400px; background: var(--ink); color: var(--paper); font: 12px/1.4 ui-monospace, monospace; padding: 5px 8px; border-radius: 5px; white-space: pre-wrap; overflow-wrap: anywhere; pointer-events: none; z-index: 5; }
@media (max-width: 900px) { body { height: auto; } main { flex-direction: column; } aside { width: auto; border-left: 0; border-top: 1px solid var(--line); } #story, #selected { max-height: 240px; } #stage { max-height: 70vh; } }
`
