"""How a report looks: by day and by night, on a laptop, on a phone and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1b1b1b; --paper: #ffffff; --quiet: #575757; --rule: #d0d0d0; --shade: #f4f4f2; --link: #0b5394;
  --supported: #0a6b3d; --refuted: #a8201a; --inconclusive: #7a5200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8e8e6; --paper: #16181b; --quiet: #a9abae; --rule: #43464b; --shade: #202328; --link: #8cc0f5;
    --supported: #6fd39b; --refuted: #ff9c93; --inconclusive: #e6bd5c;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; max-width: 66rem; padding: 1rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.45rem; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 2px solid var(--rule); }
h3 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 small { color: var(--quiet); font-weight: normal; margin-left: .4em; }
p, figcaption, dl { max-width: 46rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
nav ul, .verdicts { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 1rem 0; padding: 0; }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .92rem; margin: .5rem 0; }
caption { text-align: left; color: var(--quiet); padding-bottom: .4rem; max-width: min(46rem, 90vw); }
th, td { text-align: left; vertical-align: top; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--rule); }
thead th { border-bottom: 2px solid var(--rule); white-space: nowrap; }
tbody th { font-weight: normal; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.claims { table-layout: fixed; width: 100%; }
.cards caption, .overview caption {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
}
.claims th:nth-child(1) { width: 28%; }
.claims th:nth-child(2) { width: 9rem; }
.claims th:nth-child(4) { width: 13rem; }
.claims th:nth-child(5) { width: 9rem; }
.claims thead th { white-space: normal; vertical-align: bottom; }
.claims td:nth-child(3) { color: var(--quiet); }
.claims td:nth-child(5) { overflow-wrap: anywhere; }
.claims b { color: var(--ink); font-weight: normal; white-space: nowrap; }
.constants th:nth-child(1) { width: 26%; }
.constants td:nth-child(4) { color: var(--quiet); }
.drawn { display: block; margin-top: .2rem; }
.drawn line { stroke: var(--ink); stroke-width: 2; }
.drawn circle { fill: var(--ink); }
.drawn rect { fill: var(--rule); }
.estimate { font-variant-numeric: tabular-nums; }
.claims small { display: block; color: var(--quiet); }
.doubts { border-left: 4px solid var(--refuted); background: var(--shade); padding: .5rem 1rem; margin: 1rem 0; }
.claims tr:target { background: var(--shade); }
.verdict { white-space: nowrap; font-weight: 600; }
.supported { color: var(--supported); }
.refuted { color: var(--refuted); }
.inconclusive { color: var(--inconclusive); }
figure { margin: 0; display: flex; flex-wrap: wrap; align-items: start; gap: .5rem 1.5rem; }
.plot { background: #ffffff; border: 1px solid var(--rule); border-radius: 4px; padding: .75rem; width: fit-content; }
.plot img { display: block; max-width: 100%; height: auto; }
figcaption { color: var(--quiet); flex: 1 1 20rem; }
figcaption p { margin: .25rem 0; }
details { margin: .5rem 0; }
summary { cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; }
dt { color: var(--quiet); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
pre { background: var(--shade); border-radius: 4px; padding: .75rem 1rem; font-size: .92rem; line-height: 1.4; }
pre code { overflow-wrap: normal; }
@media (max-width: 58rem) {
  .cards, .cards tbody, .cards tr, .cards th, .cards td { display: block; width: auto !important; }
  .cards thead { display: none; }
  .cards tr { padding: .6rem 0; border-bottom: 1px solid var(--rule); }
  .cards th, .cards td { border: 0; padding: .1rem 0; }
}
@media (max-width: 40rem) {
  body { padding: .5rem .9rem 3rem; }
  h1 { font-size: 1.55rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; }
  .plot .wide { max-width: none; width: 38rem; }
  .overview { font-size: .75rem; }
  .overview th, .overview td { padding-right: .35rem; }
}
@media print {
  :root {
    color-scheme: light;
    --ink: #000000; --paper: #ffffff; --quiet: #404040; --rule: #b0b0b0; --shade: #ffffff; --link: #000000;
    --supported: #0a6b3d; --refuted: #a8201a; --inconclusive: #7a5200;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, details, .download { display: none; }
  .scroll { overflow: visible; }
  pre { white-space: pre-wrap; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
}
"""
