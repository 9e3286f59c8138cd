"""How the page looks: light and dark, on a screen of any width and on paper. Nothing is loaded from elsewhere."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--soft:#586472;--line:#d9dee5;--paper:#fff;--tint:#f4f6f9;--blue:#1f5fbf;
--good:#176b3a;--good-tint:#e2f4e9;--bad:#a3271f;--bad-tint:#fbe6e4;--wait:#6b5200;--wait-tint:#fbf1d3}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9ba8b7;--line:#333d4a;--paper:#12171e;
--tint:#1a212a;--blue:#7db1ff;--good:#7fd6a0;--good-tint:#173524;--bad:#ff9f97;--bad-tint:#43201e;--wait:#f0cf74;
--wait-tint:#3a3015}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:0 0 .25rem}
h2{font-size:1.35rem;margin:2.75rem 0 .75rem;padding-top:1rem;border-top:2px solid var(--line)}
h3{font-size:1rem;margin:1.75rem 0 .5rem}
p{margin:.4rem 0}
.soft,figcaption,.ends{color:var(--soft);font-size:.875rem}
.unknown{color:var(--soft);font-style:italic}
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-size:.875rem;font-weight:600}
.good{color:var(--good);background:var(--good-tint)}.bad{color:var(--bad);background:var(--bad-tint)}
.wait{color:var(--wait);background:var(--wait-tint)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.75rem;margin:1rem 0}
dl div{background:var(--tint);border-radius:.5rem;padding:.6rem .8rem}
dt{color:var(--soft);font-size:.8rem}dd{margin:0;font-weight:600}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;color:var(--soft);font-weight:600}
th,td{padding:.35rem .65rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:normal}
td.long{overflow-wrap:anywhere;min-width:9rem}
td.figure,th.figure{text-align:right;font-variant-numeric:tabular-nums}
td.figure{white-space:nowrap}
time{font-variant-numeric:tabular-nums;overflow-wrap:normal}
time span,.ends time{white-space:nowrap}
ul{margin:.4rem 0;padding-left:1.2rem}
figure{margin:.75rem 0}
.plot{display:flex;height:12rem}
.scale{position:relative;flex:0 0 3.75rem;font-size:.75rem;color:var(--soft)}
.scale span{position:absolute;right:.5rem;transform:translateY(-50%);white-space:nowrap}
.plot svg{flex:1;min-width:0;height:100%;background:var(--tint);border-radius:.25rem}
.grid,.lag{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--line);stroke-width:1}.lag{stroke:var(--blue);stroke-width:2}
.no-lag{fill:var(--soft);opacity:.22}
.ends{display:flex;justify-content:space-between;flex-wrap:wrap;gap:0 1rem;padding-left:3.75rem}
figcaption{margin-top:.35rem}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
a{color:var(--blue)}
@media (max-width:34rem){main{padding:1.25rem .9rem 3rem}h1{font-size:1.5rem}
dl{grid-template-columns:1fr 1fr;gap:.5rem}.scale{flex-basis:3rem}.ends{padding-left:3rem}}
@media print{body{font-size:9.5pt}main{max-width:none;padding:0}nav{display:none}th,td{padding-right:.4rem}
.table{overflow:visible}
h2,h3{break-after:avoid}figure,tr,dl div{break-inside:avoid}thead{display:table-header-group}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
