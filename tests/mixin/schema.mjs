// Holds dashboards against Grafana's own types: node schema.mjs NODE_MODULES FOLDER_FOR_THE_MADE_FILE DASHBOARD...
//
// Each panel is written out as a literal of its plugin's type, so that an unknown field or a wrong value of an enumeration is a
// type error. Targets are Prometheus queries, whose type is not in the package: their fields are listed here.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const [modules, folder, ...files] = process.argv.slice(2);
const ts = createRequire(path.resolve(modules, "x.js"))("typescript");
const kinds = ["bargauge", "geomap", "piechart", "stat", "table", "text", "timeseries"];
const withFields = ["piechart", "table", "timeseries"];
const from = path.resolve(modules, "@grafana/schema/dist/types");

let source = `import type * as g from "${from}/index";\n`;
for (const kind of kinds) source += `import type * as ${kind} from "${from}/raw/composable/${kind}/panelcfg/x/types.gen";\n`;
source += `
// What has a default may be left out. In JSON an enumeration is its value.
type Plain<T> = T extends string ? (string extends T ? string : \`\${T}\`)
  : T extends number ? (number extends T ? number : \`\${T}\` extends \`\${infer N extends number}\` ? N : T)
  : T extends (infer U)[] ? Plain<U>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Query = { refId: string; datasource: g.DataSourceRef; editorMode: "code"; expr: string; instant: boolean; range: boolean;
  legendFormat?: string; format?: "table" };
type Panel<O, F> = Omit<Plain<g.Panel>, "options" | "fieldConfig" | "targets"> & { options: Partial<Plain<O>>; targets?: Query[];
  fieldConfig?: Plain<Omit<g.FieldConfigSource, "defaults">> & { defaults: Plain<Omit<g.FieldConfig, "custom">> & { custom?: Plain<F> } } };
type Annotation = Plain<Omit<g.AnnotationQuery, "target">> & { target?: Query & { interval: string };
  titleFormat?: string; textFormat?: string; tagKeys?: string; useValueForTime?: boolean };
type Board = Omit<Plain<g.Dashboard>, "panels" | "annotations"> & { annotations: { list: Annotation[] } };
`;
files.forEach((file, at) => {
  const { panels, ...rest } = JSON.parse(fs.readFileSync(file, "utf8"));
  source += `export const board${at}: Board = ${JSON.stringify(rest)};\n`;
  for (const panel of panels) {
    if (!kinds.includes(panel.type)) throw new Error(`${file}: no type for panels of type ${panel.type}`);
    const fields = withFields.includes(panel.type) ? `${panel.type}.FieldConfig` : "Record<string, never>";
    source += `export const panel${at}_${panel.id}: Panel<${panel.type}.Options, ${fields}> = ${JSON.stringify(panel)};\n`;
  }
});
const made = path.join(folder, "dashboards.ts");
fs.writeFileSync(made, source);
const program = ts.createProgram([made], { strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind?.Bundler, types: [] });
const found = ts.getPreEmitDiagnostics(program);
for (const one of found) {
  const line = one.file ? source.split("\n")[one.file.getLineAndCharacterOfPosition(one.start).line].slice(0, 120) : "";
  console.error(`${line}\n  ${ts.flattenDiagnosticMessageText(one.messageText, "\n  ")}`);
}
process.exit(found.length ? 1 : 0);
