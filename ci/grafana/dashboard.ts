// What a dashboard file here may hold: Grafana's own types, with the parts that they leave open closed. A panel's options
// and its fields' settings are those of its kind, a query is one for Prometheus, and nothing else may stand anywhere.
import type { DataQuery } from '@grafana/schema';
import type * as raw from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TableField, Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as TimeSeriesField, Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A query for Prometheus. Its type is the data source's, and not in the schema. */
interface Query extends Omit<DataQuery, 'datasource' | 'queryType'> {
  datasource: raw.DataSourceRef;
  editorMode: 'code';
  expr: string;
  format?: 'table' | 'time_series';
  instant: boolean;
  /** The shortest step, for what is counted from one to the next. */
  interval?: string;
  legendFormat?: string;
  range: boolean;
}

/** What an override may set: settings of any field, or of one of a time series or a table. */
type Settings = Required<Omit<raw.FieldConfig, 'custom'>>;
type Property =
  | { [Key in keyof Settings]: { id: Key; value: Settings[Key] } }[keyof Settings]
  | { id: 'custom.lineStyle'; value: Required<TimeSeriesField>['lineStyle'] }
  | { id: 'custom.width'; value: Required<TableField>['width'] };

interface Override {
  matcher: { id: 'byName' | 'byRegexp'; options: string };
  properties: Property[];
}

interface Field<Custom> extends Omit<raw.FieldConfig, 'custom'> {
  custom?: Custom;
}

type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | { id: 'organize'; options: { excludeByName: Record<string, boolean>; indexByName: Record<string, number>; renameByName: Record<string, string> } }
  | { id: 'convertFieldType'; options: { fields: Record<string, never>; conversions: Array<{ targetField: string; destinationType: 'number' | 'string' }> } }
  | { id: 'sortBy'; options: { fields: Record<string, never>; sort: Array<{ field: string; desc: boolean }> } };

interface PanelOf<Type extends string, Options, Custom>
  extends Omit<raw.Panel, 'type' | 'options' | 'targets' | 'fieldConfig' | 'transformations' | 'id' | 'title' | 'description' | 'gridPos' | 'datasource'> {
  datasource: raw.DataSourceRef;
  description: string;
  fieldConfig: { defaults: Field<Custom>; overrides: Override[] };
  gridPos: raw.GridPos;
  id: number;
  options: Options;
  targets: Query[];
  title: string;
  transformations?: Transformation[];
  type: Type;
}

type Panel =
  | PanelOf<'timeseries', TimeSeriesOptions, TimeSeriesField>
  | PanelOf<'stat', StatOptions, never>
  | PanelOf<'bargauge', BarGaugeOptions, never>
  | PanelOf<'table', TableOptions, TableField>;

interface Row extends Omit<raw.RowPanel, 'panels'> {
  panels: never[];
}

/** The variable editor's question for Prometheus. */
interface VariableQuery {
  qryType: 1 | 3;
  query: string;
  refId: string;
}

interface Variable extends Omit<raw.VariableModel, 'query'> {
  query: string | VariableQuery;
}

/** One of the files. */
export interface Dashboard extends Omit<raw.Dashboard, 'panels' | 'templating' | 'uid' | 'title' | 'snapshot'> {
  panels: Array<Panel | Row>;
  templating: { list: Variable[] };
  title: string;
  uid: string;
}
