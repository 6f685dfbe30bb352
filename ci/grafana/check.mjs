// Makes a JSON schema of the types in dashboard.ts and holds every dashboard against it. Then breaks a good dashboard in
// ways that it must notice, so that a schema which allows everything does not pass for one that is strict.
import { readFileSync, readdirSync } from 'node:fs';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const here = new URL('.', import.meta.url).pathname;
const folder = `${here}../../deploy/grafana/dashboards/`;
const schema = createGenerator({
  path: `${here}dashboard.ts`,
  tsconfig: `${here}tsconfig.json`,
  type: 'Dashboard',
  additionalProperties: false,
  // Several kinds of panels have a type called `Options`: everything stands where it is used.
  expose: 'none',
  skipTypeCheck: false,
}).createSchema('Dashboard');
const ajv = () => new Ajv({ allErrors: true, strict: true, allowUnionTypes: true });
const validate = ajv().compile(schema);
const panels = schema.definitions.Dashboard.properties.panels.items.anyOf;
const kinds = new Map(panels.map((kind) => [kind.properties.type.const, ajv().compile({ ...kind, definitions: schema.definitions })]));

/** What is wrong, and with which panel; of a panel, only what is wrong with it as one of its own kind. */
function problems(dashboard) {
  const tell = (errors, where) => errors.map((error) => `${where}${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
  const ofPanels = (dashboard.panels ?? []).flatMap((panel) => {
    const kind = kinds.get(panel.type);
    if (kind === undefined) return [`there is no kind of panel ${panel.type} here`];
    return kind(panel) ? [] : tell(kind.errors, `panel ${panel.id} "${panel.title}" `);
  });
  if (ofPanels.length > 0) return ofPanels;
  return validate(dashboard) ? [] : tell(validate.errors, '');
}

const breaks = {
  'a key that Grafana does not know': (dashboard) => { dashboard.panel = []; },
  'an option of another kind of panel': (dashboard) => { first(dashboard, 'timeseries').options.graphMode = 'area'; },
  'a colour mode that there is not': (dashboard) => { first(dashboard, 'stat').fieldConfig.defaults.color.mode = 'rainbow'; },
  'a line that is drawn as nothing': (dashboard) => { first(dashboard, 'timeseries').fieldConfig.defaults.custom.drawStyle = 'wiggle'; },
  'a setting of a field with a typing error': (dashboard) => { first(dashboard, 'timeseries').fieldConfig.defaults.custom.fillOpacty = 3; },
  'a query without its expression': (dashboard) => { delete first(dashboard, 'stat').targets[0].expr; },
  'a panel without its place': (dashboard) => { delete first(dashboard, 'stat').gridPos; },
  'a width in words': (dashboard) => { first(dashboard, 'stat').gridPos.w = 'wide'; },
  'a variable of a kind that there is not': (dashboard) => { dashboard.templating.list[0].type = 'guess'; },
  'an override of what cannot be set': (dashboard) => { first(dashboard, 'timeseries').fieldConfig.overrides = [{ matcher: { id: 'byName', options: 'a' }, properties: [{ id: 'colour', value: 'red' }] }]; },
};

function first(dashboard, type) {
  return dashboard.panels.find((panel) => panel.type === type);
}

let wrong = 0;
for (const name of readdirSync(folder).filter((name) => name.endsWith('.json')).sort()) {
  const text = readFileSync(folder + name, 'utf8');
  const found = problems(JSON.parse(text));
  found.slice(0, 30).forEach((problem) => console.error(`${name}: ${problem}`));
  wrong += found.length;
  if (found.length === 0) {
    for (const [what, break_] of Object.entries(breaks)) {
      const broken = JSON.parse(text);
      break_(broken);
      if (problems(broken).length === 0) {
        console.error(`${name}: ${what} is not noticed`);
        wrong += 1;
      }
    }
    console.log(`${name} is as the schema wants it, and not in ${Object.keys(breaks).length} broken forms`);
  }
}
process.exit(wrong === 0 ? 0 : 1);
