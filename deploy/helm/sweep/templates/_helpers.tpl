{{/* Names, labels and other parts that several objects share. */}}

{{- define "sweep.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "sweep.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "sweep.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sweep.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sweep.coordinator" -}}
{{ include "sweep.fullname" . }}-coordinator
{{- end }}

{{/* The labels that select pods. An upgrade must never change them. */}}
{{- define "sweep.selector" -}}
app.kubernetes.io/name: {{ include "sweep.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sweep.labels" -}}
{{ include "sweep.selector" . }}
app.kubernetes.io/part-of: sweep
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image: repository with digest, or with tag. Arguments: image, default tag. */}}
{{- define "sweep.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end }}
{{- end }}

{{- define "sweep.tokens" -}}
{{ .Values.tokens.existingSecret | default (printf "%s-tokens" (include "sweep.fullname" .)) }}
{{- end }}

{{- define "sweep.scheme" -}}
{{ ternary "https" "http" .Values.tls.enabled }}
{{- end }}

{{- define "sweep.replicated" -}}
{{- if eq .Values.coordinator.store "postgres" }}true{{ end }}
{{- end }}

{{/* Whether HAProxy is before the coordinators. */}}
{{- define "sweep.fronted" -}}
{{- if and (include "sweep.replicated" .) .Values.front.enabled }}true{{ end }}
{{- end }}

{{/*
The domain after a service's name. Names within the namespace need none; TLS needs the full name, which the certificate has.
*/}}
{{- define "sweep.domain" -}}
{{- if .Values.tls.enabled -}}
.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end }}
{{- end }}

{{/* The address of the coordinators' service. */}}
{{- define "sweep.serviceAddress" -}}
{{ include "sweep.scheme" . }}://{{ include "sweep.coordinator" . }}{{ include "sweep.domain" . }}:7733
{{- end }}

{{/* Every coordinator's address. Each program finds the leader among them. */}}
{{- define "sweep.addresses" -}}
{{- if include "sweep.replicated" . }}
{{- $service := include "sweep.coordinator" . }}
{{- $scheme := include "sweep.scheme" . }}
{{- $domain := include "sweep.domain" . }}
{{- $list := list }}
{{- range $number := until (int .Values.coordinator.replicas) }}
{{- $list = append $list (printf "%s://%s-%d.%s-peers%s:7733" $scheme $service $number $service $domain) }}
{{- end }}
{{- join "," $list }}
{{- else -}}
{{ include "sweep.serviceAddress" . }}
{{- end }}
{{- end }}

{{/* The address that reaches the leader; without HAProxy, the addresses of all coordinators. */}}
{{- define "sweep.wayIn" -}}
{{- if include "sweep.fronted" . -}}
{{ include "sweep.serviceAddress" . }}
{{- else -}}
{{ include "sweep.addresses" . }}
{{- end }}
{{- end }}

{{- define "sweep.account" -}}
{{ .Values.serviceAccount.existing | default (include "sweep.fullname" .) }}
{{- end }}

{{/*
The claim of the coordinators. It has different names with PostgreSQL and with SQLite: claims cannot be changed, and the
migration needs both. A ReadWriteMany claim with the SQLite name is from an older chart, and stays in use.
*/}}
{{- define "sweep.claim" -}}
{{- $name := include "sweep.coordinator" . }}
{{- if .Values.coordinator.storage.existingClaim -}}
{{ .Values.coordinator.storage.existingClaim }}
{{- else if include "sweep.replicated" . }}
{{- $older := lookup "v1" "PersistentVolumeClaim" .Release.Namespace $name }}
{{- if has "ReadWriteMany" (dig "spec" "accessModes" list ($older | default dict)) -}}
{{ $name }}
{{- else -}}
{{ $name }}-artifacts
{{- end }}
{{- else -}}
{{ $name }}
{{- end }}
{{- end }}

{{/* Pod security "restricted", for a pod and for a container. */}}
{{- define "sweep.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "sweep.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The egress rule for PostgreSQL. */}}
{{- define "sweep.databaseEgress" -}}
- ports: [{ port: {{ .Values.coordinator.postgres.port }}, protocol: TCP }]
  {{- with .Values.coordinator.postgres.cidr }}
  to: [{ ipBlock: { cidr: {{ . }} } }]
  {{- end }}
{{- end }}

{{/*
The tolerations of a pool, as YAML: the pool's own list, and the taints of nodes with its GPUs. Nodes with MIG slices have the
taint of whole GPUs. Argument: the pool's values.
*/}}
{{- define "sweep.tolerations" -}}
{{- $tolerations := .tolerations | default list }}
{{- $known := list }}
{{- range $tolerations }}{{ $known = append $known .key }}{{ end }}
{{- if gt (int .gpus) 0 }}
{{- $keys := list .gpuResource }}
{{- if hasPrefix "nvidia.com/" .gpuResource }}{{ $keys = prepend $keys "nvidia.com/gpu" }}{{ end }}
{{- range $key := $keys | uniq }}
{{- if not (has $key $known) }}
{{- $tolerations = append $tolerations (dict "key" $key "operator" "Exists" "effect" "NoSchedule") }}
{{- end }}
{{- end }}
{{- end }}
{{- with $tolerations }}
{{- toYaml . }}
{{- end }}
{{- end }}
