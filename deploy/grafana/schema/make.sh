#!/usr/bin/env bash
# Makes the JSON Schemas beside this file anew from the types that Grafana publishes. Needs Node 18 or newer and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --silent @grafana/schema@11.6.16 ts-json-schema-generator@2.4.0 typescript@5.9.3

generate() { # NAME MODULE TYPE
    printf "import type * as types from './node_modules/@grafana/schema/dist/esm/raw/%s';\nexport interface Checked %s\n" \
        "$2" "$3" >"$1.ts"
    npx ts-json-schema-generator --path "$1.ts" --type Checked --no-type-check --out "$here/$1.json"
}

whole='{ dashboard: types.Dashboard; panel: types.Panel; row: types.RowPanel; variable: types.VariableModel }'
both='{ options: types.Options; custom: types.FieldConfig }'
generate dashboard dashboard/x/dashboard_types.gen "$whole"
generate stat composable/stat/panelcfg/x/StatPanelCfg_types.gen '{ options: types.Options }'
generate state-timeline composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen "$both"
generate timeseries composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen "$both"
