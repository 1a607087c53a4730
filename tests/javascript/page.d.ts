// The data of a report, as runbook/pages/report writes it, and the little that the page uses of Plotly.

/** A number, or "NaN", "Infinity" or "-Infinity"; a text; true or false; null where there is nothing. */
type Scalar = string | number | boolean | null;

/** id, name, status, reason, start, seconds, tags, settings, metrics. */
type TableRow = [string, string | null, string, string | null, string, number | null, string[], Scalar[], Scalar[]];

interface TableData {
  settings: string[];
  /** So many of the settings, those that differ most, come before the metrics. */
  leading: number;
  metrics: string[];
  best: (Best | null)[];
  rows: TableRow[];
}

interface Best {
  direction: "min" | "max";
  rows: number[];
}

interface ExperimentData {
  id: string;
  status: string;
  reason: string | null;
  started: string;
  ended: string | null;
  description: string;
  tags: string[];
  notes: string;
  host: string | null;
  parent: string | null;
  function: string | null;
  attempts: number;
  config: [string, Scalar][];
  settings: number;
  metrics: [string, Scalar][];
  final_metrics: number;
  environment: [string, string][];
  environment_problem?: string;
  packages?: number | null;
  has_history: boolean;
  history_problem?: string;
}

interface Failure {
  id: string;
  name: string;
  status: string;
  reason: string | null;
  ended: string | null;
  evidence: string | null;
  failure: { type: string; message: string; traceback: string } | null;
}

type Packed = { start: number; stride: number; count: number } | { type: string; base64: string };

interface PackedCurve {
  metric: string;
  owner: number;
  steps: number;
  values: Packed;
  logged: number;
  shown: number;
  gaps: number;
  left_out: number;
  low?: Packed;
  high?: Packed;
}

interface Curve {
  metric: string;
  owner: number;
  gaps: number;
  left_out: number;
  x: Float64Array;
  y: Float64Array;
  low?: Float64Array;
  high?: Float64Array;
}

/** A figure of Plotly, as somebody saved it. */
interface Figure {
  data: Trace[];
  layout: Record<string, unknown>;
}

interface Picture {
  name: string;
  source?: string;
  figure?: Figure;
  problem?: string;
  remark?: string | null;
}

interface ReportData {
  base_dir: string;
  made_at: string;
  is_whole: boolean;
  version: string;
  plotly: string;
  counts: Record<string, number>;
  table: TableData;
  experiments: ExperimentData[];
  packages: string[][];
  titles: string[];
  places: number[];
  settings: { differing: [string, (string | null)[]][]; differing_count: number; shared: [string, string][] };
  groups: { members: number[]; name: string }[];
  failures: Failure[];
  curves: PackedCurve[];
  means: PackedCurve[];
  steps: Packed[];
  limit: number;
  pictures: Picture[][];
  remarks: string[];
}

/** What `el` takes as a child; what is missing is left out. */
type Child = Node | string | false | null | undefined;
type Children = Child | Child[];

/** A line of the legend: what it stands for, and its place in the row of colours and dashes. */
interface Series {
  key: string;
  title: string;
  place: number;
}

interface Column {
  title: string;
  kind: string;
  get: (row: TableRow) => Scalar | undefined;
  cell: (row: TableRow) => HTMLElement;
  className?: string;
  isNumber?: boolean;
  isRecord?: boolean;
  isFirst?: boolean;
}

interface Chart {
  metric: string;
  card: HTMLElement;
  plot: HTMLElement;
  draw: () => void;
  see: (isIntersecting: boolean) => void;
  renew: () => void;
}

type Trace = { type?: unknown; x?: Float64Array; y?: Float64Array } & Record<string, unknown>;

interface PlotlyLibrary {
  react(plot: HTMLElement, traces: Trace[], layout: object, options: object): Promise<unknown>;
  newPlot(plot: HTMLElement, traces: Trace[], layout: object, options: object): Promise<unknown>;
}

interface Window {
  Plotly?: PlotlyLibrary;
}

interface ChartData {
  curves: Curve[];
  means: Curve[];
}

type DrawnSeries = Series & { curve: Curve };

/** What the controls of the curves say, and the charts. */
interface ChartsState {
  weight: number;
  isMeans: boolean;
  logSteps: boolean;
  paper: { width: number; height: number } | null;
  hidden: Set<string>;
  all: Chart[];
}

/** What the table shows: the column it is sorted by, its filters, and the positions of the rows that fit. */
interface TableState {
  column: number;
  descending: boolean;
  words: string[];
  statuses: Set<string>;
  page: number;
  order: number[];
}
