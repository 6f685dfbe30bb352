{{/*
The common part of the Jobs that maintain stores: everything but containers and volumes. Arguments: root, component.
*/}}
{{- define "sweep.jobPodMetadata" -}}
labels:
  {{- include "sweep.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "sweep.jobPodSpec" -}}
{{- $values := .root.Values -}}
restartPolicy: Never
serviceAccountName: {{ include "sweep.account" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "sweep.podSecurity" .root | nindent 2 }}
{{- with $values.coordinator.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.coordinator.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The coordinator's image, which includes sweepctl. */}}
{{- define "sweep.sweepctlImage" -}}
{{ include "sweep.image" (dict "image" .Values.coordinator.image "tag" .Chart.AppVersion) }}
{{- end }}

{{/* An image with bash, cp and diff: the coordinator's image has no shell. Arguments: root, image. */}}
{{- define "sweep.shellImage" -}}
{{- $workers := include "sweep.image" (dict "image" .root.Values.workerDefaults.image "tag" (printf "%s-cpu" .root.Chart.AppVersion)) -}}
{{ .image | default $workers }}
{{- end }}

{{/* No coordinator may run while a Job creates the store that it will open. */}}
{{- define "sweep.stopped" -}}
{{- if or .Values.migration.enabled .Values.restore.enabled }}true{{ end }}
{{- end }}

{{- define "sweep.backupClaim" -}}
{{ .Values.backup.storage.existingClaim | default (printf "%s-backup" (include "sweep.fullname" .)) }}
{{- end }}
