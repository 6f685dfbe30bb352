{{/* Names, labels and the parts that several objects share. */}}

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

{{/* What selects pods: never changed by an upgrade. */}}
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

{{/* An image: repository with digest, or with tag. Of: image, default tag. */}}
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

{{/* Every coordinator's address, for those who find out themselves which one leads. */}}
{{- define "sweep.addresses" -}}
{{- $service := include "sweep.coordinator" . }}
{{- if include "sweep.replicated" . }}
{{- $list := list }}
{{- range $number := until (int .Values.coordinator.replicas) }}
{{- $list = append $list (printf "%s://%s-%d.%s-peers.%s.svc.%s:7733" (include "sweep.scheme" $) $service $number $service $.Release.Namespace $.Values.clusterDomain) }}
{{- end }}
{{- join "," $list }}
{{- else -}}
{{ include "sweep.scheme" . }}://{{ $service }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:7733
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

{{/* What is wrong with the values and no schema can say. */}}
{{- define "sweep.check" -}}
{{- if and (include "sweep.replicated" .) (not .Values.coordinator.postgres.existingSecret) }}
{{- fail "coordinator.store is postgres: coordinator.postgres.existingSecret has to name the secret with its URL" }}
{{- end }}
{{- if and .Values.tls.enabled (not .Values.tls.secret) }}
{{- fail "tls.enabled: tls.secret has to name the secret with tls.crt, tls.key and ca.crt" }}
{{- end }}
{{- if and .Values.tls.requireClientCertificates (not .Values.tls.workerSecret) }}
{{- fail "tls.requireClientCertificates: tls.workerSecret has to name the certificate that workers show" }}
{{- end }}
{{- if and .Values.ingress.enabled (include "sweep.replicated" .) (not .Values.front.enabled) }}
{{- fail "ingress.enabled with postgres: set front.enabled, which knows the coordinator that leads" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.tlsSecret) }}
{{- fail "ingress.enabled: ingress.tlsSecret has to name a certificate; tokens do not travel in the clear" }}
{{- end }}
{{- if and .Values.ingress.grpc.enabled (not .Values.ingress.grpc.tlsSecret) }}
{{- fail "ingress.grpc.enabled: ingress.grpc.tlsSecret has to name a certificate" }}
{{- end }}
{{- if and .Values.front.enabled (not (include "sweep.replicated" .)) }}
{{- fail "front.enabled is for several coordinators, with coordinator.store postgres" }}
{{- end }}
{{- end }}

{{/* The service that leads to whoever answers. */}}
{{- define "sweep.answering" -}}
{{- if .Values.front.enabled -}}
{{ include "sweep.fullname" . }}-front
{{- else -}}
{{ include "sweep.coordinator" . }}
{{- end }}
{{- end }}
