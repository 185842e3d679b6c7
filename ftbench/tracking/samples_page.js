'use strict';
// Answers are whatever a model wrote: they reach the page as text nodes, never as markup.
const data = JSON.parse(document.getElementById('data').textContent);
const samples = data.samples.map((row) =>
  Object.fromEntries(data.columns.map((name, index) => [name, row[index]])));
const PAGE = 100;
const VERDICTS = [
  ['all', 'All', () => true],
  ['wrong', '✗ Wrong', (s) => s.verdict === 'wrong'],
  ['right', '✓ Right', (s) => s.verdict === 'right'],
  ['unknown', '? Unknown', (s) => s.verdict === 'unknown'],
  ['truncated', '✂ Truncated', (s) => s.truncated === true],
];
const MARKS = { wrong: '✗', right: '✓', unknown: '?' };
const byId = (id) => document.getElementById(id);
let verdict = 'all';
let limit = PAGE;

function add(parent, tag, text, className) {
  const element = parent.appendChild(document.createElement(tag));
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function inPlace(sample, place) {
  return place === '' || place === sample.dataset || place === `${sample.dataset}/${sample.subset}`;
}

function selected() {
  const place = byId('subset').value;
  const words = byId('search').value.toLowerCase();
  return samples.filter((s) => inPlace(s, place)
    && (!words || [s.id, s.prompt, s.answer, s.extracted, s.reference]
      .some((text) => text.toLowerCase().includes(words))));
}

function oneLine(text, most) {
  const line = text.trim().split(/\s+/).join(' ');
  return line.length > most ? line.slice(0, most - 1) + '…' : line;
}

function fillDetails(details, sample) {
  const list = add(details, 'dl');
  const fields = [['prompt', sample.prompt, true], ['answer', sample.answer, true],
    ['taken from it', sample.extracted], ['reference', sample.reference],
    ['unknown because', sample.why], ['tokens', sample.tokens === null ? '' : String(sample.tokens)]];
  for (const [name, text, isLong] of fields) {
    if (!text && !isLong) continue;
    add(list, 'dt', name);
    add(list, 'dd', text || '(empty)', isLong ? 'text' : '');
  }
}

function addSample(parent, sample) {
  const details = add(parent, 'details', undefined, sample.verdict);
  const summary = add(details, 'summary');
  add(summary, 'span', MARKS[sample.verdict], 'mark');
  add(summary, 'span', sample.id, 'id');
  add(summary, 'span', oneLine(sample.prompt, 200), 'ask');
  const said = oneLine(sample.extracted || sample.answer, 60) || '(empty)';
  const isWrong = sample.verdict === 'wrong' && sample.reference;
  const text = isWrong ? `${said}  ≠  ${oneLine(sample.reference, 40)}` : said;
  add(summary, 'span', (sample.truncated ? '✂ ' : '') + text, sample.truncated ? 'flag' : '');
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('dl')) fillDetails(details, sample);
  });
}

function draw() {
  const near = selected();
  const wanted = VERDICTS.find(([key]) => key === verdict)[2];
  const found = near.filter(wanted);
  for (const [key, label, test] of VERDICTS) {
    const button = byId(`verdict-${key}`);
    button.textContent = `${label} ${near.filter(test).length}`;
    button.setAttribute('aria-pressed', String(key === verdict));
  }
  const list = byId('list');
  list.replaceChildren();
  found.slice(0, limit).forEach((sample) => addSample(list, sample));
  byId('count').textContent = `${found.length} of ${samples.length}`;
  byId('more').hidden = found.length <= limit;
  byId('more').textContent = `Show ${Math.min(PAGE, found.length - limit)} more`;
}

function reset() {
  limit = PAGE;
  draw();
}

byId('title').textContent = data.title;
byId('note').textContent = data.note;
for (const [key] of VERDICTS) {
  const button = add(byId('verdicts'), 'button');
  button.id = `verdict-${key}`;
  button.type = 'button';
  button.addEventListener('click', () => { verdict = key; reset(); });
}
const select = byId('subset');
add(select, 'option', 'all datasets').value = '';
for (const [dataset, subsets] of data.places) {
  add(select, 'option', dataset).value = dataset;
  for (const subset of subsets) add(select, 'option', `  ${dataset} / ${subset}`).value = `${dataset}/${subset}`;
}
select.addEventListener('change', reset);
byId('search').addEventListener('input', reset);
byId('more').addEventListener('click', () => { limit += PAGE; draw(); });
draw();
