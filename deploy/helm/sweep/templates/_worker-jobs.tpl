{{/*
Workers as Jobs: one starts for each worker that waiting trials need, and ends when it has been idle. Nothing ends a busy one.
Of: what "sweep.workerPod" takes.
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
  # KEDA gives each Job these labels: Kueue reads its queue there.
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
  # A changed configuration is for the Jobs that start after it.
  rollout: { strategy: gradual }
  # Jobs that run are subtracted from all that are wanted, which count busy slots too.
  scalingStrategy: { strategy: default }
  jobTargetRef:
    parallelism: 1
    completions: 1
    # A worker that fails is not started again: the next Job is for the same trials.
    backoffLimit: 0
    template: {{- include "sweep.workerPod" . | nindent 6 }}
  triggers: {{- include "sweep.kedaTriggers" . | nindent 4 }}
{{- end }}

{{/* What KEDA asks Prometheus for one pool. Of: root, pool, values. */}}
{{- define "sweep.kedaTriggers" -}}
{{- $scaling := .values.autoscaling }}
{{- $query := printf "sum(max by (__name__) ({__name__=~\"sweep_pool_queued_slots|sweep_pool_busy_slots\", namespace=%q, pool=%q}))" .root.Release.Namespace .pool -}}
- type: prometheus
  {{- if eq $scaling.mode "deployment" }}
  metricType: AverageValue
  {{- end }}
  metadata:
    serverAddress: {{ $scaling.prometheus }}
    # Slots that wait for this pool, and those that are busy: without the second, workers would be taken from the last trials.
    # A standby shows zero.
    query: {{ $scaling.query | default $query | quote }}
    threshold: {{ include "sweep.slots" .values | quote }}
    # No answer is not zero: workers train on while the coordinator is away.
    ignoreNullValues: "false"
{{- end }}
