// A dashboard, drawn with Grafana's own components from what Prometheus answered: fields, overrides, transformations, units
// and colours are Grafana's code; the grid and the choice of a component for each kind of panel are this file's.
import {
  applyFieldOverrides, createTheme, dateTime, FieldConfigOptionsRegistry, FieldType, getFieldDisplayValues,
  standardTransformers, standardTransformersRegistry, ThemeContext, transformDataFrame, TransformerCategory,
  type DataFrame, type FieldConfigSource, type TimeRange,
} from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';

type Labels = Record<string, string>;
interface Series { metric: Labels; value?: [number, string]; values?: Array<[number, string]> }
interface Target { refId: string; legendFormat?: string; format?: string }
interface Panel {
  id: number; type: string; title: string; description: string; gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[]; fieldConfig: FieldConfigSource; options: any; transformations?: any[];
}
interface Answer { step: number; series: Series[] }
interface Shown { from: number; to: number; panels: Record<string, Record<string, Answer>> }

declare global { interface Window { dashboard: { title: string; panels: Panel[] }; shown: Shown; problems: string[] } }

const WIDTH = 1480;
const GAP = 8;
const ROW = 38;
const theme = createTheme({ colors: { mode: 'dark' } });
const { dashboard, shown } = window;
const range: TimeRange = {
  from: dateTime(shown.from * 1000), to: dateTime(shown.to * 1000),
  raw: { from: dateTime(shown.from * 1000), to: dateTime(shown.to * 1000) },
};

window.problems = [];
window.addEventListener('error', (event) => window.problems.push(String(event.error ?? event.message)));

const standard = ['unit', 'min', 'max', 'decimals', 'color', 'thresholds', 'mappings', 'displayName', 'noValue'];
const custom = [
  'drawStyle', 'lineInterpolation', 'lineWidth', 'lineStyle', 'fillOpacity', 'gradientMode', 'showPoints', 'pointSize', 'spanNulls',
  'axisPlacement', 'axisLabel', 'stacking', 'scaleDistribution', 'thresholdsStyle', 'align', 'cellOptions', 'width',
];

/** What may be set of a field. In Grafana, panels say so themselves. */
function registry() {
  const same = (value: unknown) => value;
  const item = (path: string, isCustom: boolean): any => ({
    id: isCustom ? `custom.${path}` : path, path, isCustom, name: path, editor: () => null, override: () => null,
    process: same, shouldApply: () => true, settings: {},
  });
  return new FieldConfigOptionsRegistry(() => [...standard.map((path) => item(path, false)), ...custom.map((path) => item(path, true))]);
}

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer,
    standardTransformers.convertFieldTypeTransformer, standardTransformers.sortByTransformer].map((transformation) => ({
    id: transformation.id, name: transformation.name, transformation: () => Promise.resolve(transformation) as any, editor: () => null,
    imageDark: '', imageLight: '', categories: new Set([TransformerCategory.Reformat]),
  })) as any);

const legend = (format: string | undefined, labels: Labels, refId: string) =>
  format ? format.replace(/\{\{(\w+)\}\}/g, (_, name) => labels[name] ?? '') : refId;

/** The points of a series, with a gap wherever a step has none. */
function onGrid(values: Array<[number, string]>, step: number) {
  const known = new Map(values.map(([at, value]) => [Math.round(at - shown.from), Number(value)]));
  const steps = Math.floor((shown.to - shown.from) / step);
  const at = Array.from({ length: steps + 1 }, (_, index) => index * step);
  return { times: at.map((offset) => (shown.from + offset) * 1000), values: at.map((offset) => known.get(Math.round(offset)) ?? null) };
}

function frames(panel: Panel): DataFrame[] {
  return (panel.targets ?? []).flatMap((target) => {
    const { step, series: answer } = shown.panels[panel.id]?.[target.refId] ?? { step: 1, series: [] };
    if (target.format === 'table') {
      const names = [...new Set(answer.flatMap((series) => Object.keys(series.metric)))].sort();
      const text = (name: string) => ({ name, type: FieldType.string, config: {}, values: answer.map((series) => series.metric[name] ?? '') });
      const time = { name: 'Time', type: FieldType.time, config: {}, values: answer.map((series) => series.value![0] * 1000) };
      const value = { name: `Value #${target.refId}`, type: FieldType.number, config: {}, values: answer.map((series) => Number(series.value![1])) };
      return [{ refId: target.refId, length: answer.length, fields: [time, ...names.map(text), value] }];
    }
    return answer.map((series) => {
      const { times, values } = series.values ? onGrid(series.values, step) : { times: [series.value![0] * 1000], values: [Number(series.value![1])] };
      const displayNameFromDS = legend(target.legendFormat, series.metric, target.refId);
      return {
        refId: target.refId, length: times.length,
        fields: [
          { name: 'Time', type: FieldType.time, config: {}, values: times },
          { name: 'Value', type: FieldType.number, config: { displayNameFromDS }, labels: series.metric, values },
        ],
      };
    });
  });
}

const configured = (panel: Panel, data: DataFrame[]) => applyFieldOverrides({
  data, fieldConfig: panel.fieldConfig, replaceVariables: (text) => text, theme, timeZone: 'utc', fieldConfigRegistry: registry(),
});

function single(panel: Panel, data: DataFrame[]) {
  return getFieldDisplayValues({
    data, fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, timeZone: 'utc',
  });
}

function Inner({ panel, data, width, height }: { panel: Panel; data: DataFrame[]; width: number; height: number }) {
  if (data.length === 0 || data.every((frame) => frame.length === 0)) {
    window.problems.push(`no data: ${panel.title}`);
    return <div>No data</div>;
  }
  const options = panel.options;
  switch (panel.type) {
    case 'timeseries':
      return <TimeSeries frames={data} structureRev={1} timeRange={range} timeZone="utc" width={width} height={height} legend={options.legend} />;
    case 'stat': {
      const values = single(panel, data);
      return (
        <div style={{ display: 'flex' }}>
          {values.map((value, index) => (
            <BigValue key={index} theme={theme} value={{ ...value.display, title: values.length > 1 ? value.display.title : undefined }} count={values.length}
              width={width / values.length} height={height} colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode} />
          ))}
        </div>
      );
    }
    case 'bargauge':
      return (
        <>
          {single(panel, data).map((value, index, all) => (
            <BarGauge key={index} theme={theme} value={value.display} field={value.field as any} display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
              width={width} height={Math.min(options.maxVizHeight, height / all.length)} orientation={options.orientation} displayMode={options.displayMode}
              itemSpacing={8} lcdCellWidth={12} valueDisplayMode={options.valueMode} showUnfilled={options.showUnfilled} text={{ titleSize: 14, valueSize: 16 }} />
          ))}
        </>
      );
    case 'table':
      return <Table data={data[0]} width={width} height={height} />;
    default:
      throw new Error(`there is no kind of panel ${panel.type} here`);
  }
}

function Drawn({ panel }: { panel: Panel }) {
  const [data, setData] = useState<DataFrame[]>();
  useEffect(() => {
    const made = transformDataFrame(panel.transformations ?? [], frames(panel)).subscribe((found) => setData(configured(panel, found)));
    return () => made.unsubscribe();
  }, [panel]);
  const { x, y, w, h } = panel.gridPos;
  const unit = (WIDTH - GAP) / 24;
  const place = { position: 'absolute', left: GAP + x * unit, top: 56 + y * ROW, width: w * unit - GAP, height: h * ROW - GAP } as const;
  if (panel.type === 'row') {
    return <div style={{ ...place, color: theme.colors.text.primary, fontWeight: 500, lineHeight: `${place.height}px` }}>⌄ {panel.title}</div>;
  }
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={place.width} height={place.height}>
        {(width, height) => data && <Inner panel={panel} data={data} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

function Page() {
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div style={{ position: 'absolute', left: GAP, top: 14, fontSize: 20, color: theme.colors.text.primary }}>{dashboard.title}</div>
      {dashboard.panels.map((panel) => <Drawn key={panel.id} panel={panel} />)}
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('root')!).render(<Page />);
