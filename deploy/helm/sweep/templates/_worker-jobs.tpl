{{/*
Workers as Jobs: KEDA starts one for each worker that waiting trials need, and it ends when it has been idle. Nothing ends a busy
worker. Arguments: those of "sweep.workerPod".
*/}}
{{- define "sweep.workerJobs" -}}
{{- $root := .root }}
{{- $values := .values }}
{{- $scaling := $values.autoscaling }}
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  # KEDA copies these labels to each Job; Kueue reads the queue from them.
  labels:
    {{- include "sweep.labels" $root | nindent 4 }}
    app.kubernetes.io/component: worker
    sweep.pool: {{ .pool }}
    {{- with $values.kueueQueue }}
    kueue.x-k8s.io/queue-name: {{ . }}
    {{- end }}
spec:
  pollingInterval: {{ $scaling.pollSeconds }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  successfulJobsHistoryLimit: 2
  failedJobsHistoryLimit: 5
  # Jobs that run keep their configuration; a change applies to Jobs that start after it.
  rollout: { strategy: gradual }
  # KEDA subtracts running Jobs from the wanted ones, so the query counts busy slots too.
  scalingStrategy: { strategy: default }
  jobTargetRef:
    parallelism: 1
    completions: 1
    # A failed worker is not restarted: the next Job runs the same trials.
    backoffLimit: 0
    template: {{- include "sweep.workerPod" . | nindent 6 }}
  triggers: {{- include "sweep.kedaTriggers" . | nindent 4 }}
{{- end }}

{{/* KEDA's Prometheus query for one pool. Arguments: root, pool, values. */}}
{{- define "sweep.kedaTriggers" -}}
{{- $scaling := .values.autoscaling }}
{{- $query := printf "sum(max by (__name__) ({__name__=~\"sweep_pool_queued_slots|sweep_pool_busy_slots\", namespace=%q, pool=%q}))" .root.Release.Namespace .pool -}}
- type: prometheus
  {{- if eq $scaling.mode "deployment" }}
  metricType: AverageValue
  {{- end }}
  metadata:
    serverAddress: {{ $scaling.prometheus }}
    # Waiting slots of this pool plus busy slots: without the busy ones, KEDA would remove workers from the last trials.
    # A standby reports zero.
    query: {{ $scaling.query | default $query | quote }}
    threshold: {{ include "sweep.slots" .values | quote }}
    # No answer does not mean zero: workers continue while the coordinator is away.
    ignoreNullValues: "false"
{{- end }}
