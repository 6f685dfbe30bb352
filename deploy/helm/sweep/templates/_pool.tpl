{{/* What a pool of workers is: the defaults with the pool's own values over them. */}}

{{/* Removes every null from a map: `memory: null` in a pool takes the default's limit away. Changes the map that it is given. */}}
{{- define "sweep.withoutNulls" -}}
{{- $map := . }}
{{- range $key, $value := $map }}
{{- if kindIs "invalid" $value }}
{{- $_ := unset $map $key }}
{{- else if kindIs "map" $value }}
{{- include "sweep.withoutNulls" $value }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The values of a pool, as YAML. Of: root, pool (its name), own (its values).

A volume has one source. Helm merges maps, so a claim that a pool or a values file names comes beside the default's emptyDir,
and the API server refuses a volume with both: an emptyDir gives way to any other source, and a pool's own volume replaces the
default's whole.
*/}}
{{- define "sweep.pool" -}}
{{- $own := deepCopy (.own | default dict) }}
{{- $values := mustMergeOverwrite (deepCopy .root.Values.workerDefaults) (deepCopy $own) }}
{{- include "sweep.withoutNulls" $values }}
{{- include "sweep.withoutNulls" $own }}
{{- range $volume := list "data" "cache" "state" }}
{{- $source := get $own $volume | default (get $values $volume) | default dict | deepCopy }}
{{- if gt (len $source) 1 }}
{{- $source = omit $source "emptyDir" }}
{{- end }}
{{- if gt (len $source) 1 }}
{{- fail (printf "workers.%s.%s names several volume sources (%s): keep one" $.pool $volume (keys $source | sortAlpha | join ", ")) }}
{{- end }}
{{- $_ := set $values $volume ($source | default (dict "emptyDir" dict)) }}
{{- end }}
{{- toYaml $values }}
{{- end }}
