{{/* A pool of workers: the defaults, overridden by the pool's own values. */}}

{{/* Removes every null from a map: `memory: null` in a pool removes the default limit. Changes the map in place. */}}
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
The values of a pool, as YAML. Arguments: root, pool (its name), own (its values).

A volume has one source. Helm merges maps, so the claim of a pool or a values file would appear beside the default's emptyDir,
and the API server refuses a volume with both. So any other source replaces an emptyDir, and a pool's own volume replaces the
whole default.
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

{{- define "sweep.workerName" -}}
{{- printf "%s-worker-%s" (include "sweep.fullname" .root) .pool }}
{{- end }}

{{/* Whether a pool's workers are Jobs that end when they are idle. Argument: the pool's values. */}}
{{- define "sweep.asJobs" -}}
{{- if and .autoscaling.enabled (eq .autoscaling.mode "jobs") }}true{{ end }}
{{- end }}

{{/*
Slots of one worker: the value `slots`, and for `auto` the worker's GPUs or cores. Argument: the pool's values.
*/}}
{{- define "sweep.slots" -}}
{{- if .autoscaling.slotsPerWorker }}
{{- int .autoscaling.slotsPerWorker }}
{{- else if kindIs "slice" .slots }}
{{- len .slots }}
{{- else if regexMatch "^[0-9]+$" (toString .slots) }}
{{- toString .slots }}
{{- else if ne .slots "auto" }}
{{- splitList "," .slots | len }}
{{- else if gt (int .gpus) 0 }}
{{- int .gpus }}
{{- else }}
{{- $limits := .resources.limits | default dict }}
{{- $cores := toString ($limits.cpu | default "1") }}
{{- if hasSuffix "m" $cores }}
{{- max 1 (ceil (divf (trimSuffix "m" $cores | float64) 1000)) }}
{{- else }}
{{- max 1 (ceil (float64 $cores)) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
How long running trials may continue when a pod must stop. An autoscaler may remove a busy pod, so a pool that is scaled as a
Deployment lets its trials end. Argument: the pool's values.
*/}}
{{- define "sweep.drainSeconds" -}}
{{- if and .autoscaling.enabled (eq .autoscaling.mode "deployment") }}
{{- max (int .drainSeconds) (int .autoscaling.drainSeconds) }}
{{- else }}
{{- int .drainSeconds }}
{{- end }}
{{- end }}

{{/*
The pools for the coordinator's configuration, in the order in which waiting trials count for them. Argument: the root.
*/}}
{{- define "sweep.pools" -}}
{{- $root := . }}
{{- $sorted := dict }}
{{- range $pool, $own := .Values.workers }}
{{- $values := include "sweep.pool" (dict "root" $root "pool" $pool "own" $own) | fromYaml }}
{{- if $values.enabled }}
{{- $most := ternary (int $values.autoscaling.maxReplicas) (max 1 (int $values.replicas)) $values.autoscaling.enabled }}
{{- $entry := dict "name" $pool "slots" (include "sweep.slots" $values | int) "device" (ternary "cuda" "cpu" (gt (int $values.gpus) 0)) "max_workers" $most }}
{{- $memory := toString (get $values.config "slot_memory" | default "auto") }}
{{- if ne $memory "auto" }}
{{- $_ := set $entry "memory" $memory }}
{{- end }}
{{- $_ := set $sorted (printf "%04d %s" (int $values.autoscaling.order) $pool) $entry }}
{{- end }}
{{- end }}
{{- $list := list }}
{{- range $_, $entry := $sorted }}
{{- $list = append $list $entry }}
{{- end }}
{{- toYaml $list }}
{{- end }}
