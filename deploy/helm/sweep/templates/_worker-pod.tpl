{{/* The pod of a worker, for a Deployment and for Jobs. Arguments: root, pool, values, name, config, selector. */}}
{{- define "sweep.workerPod" -}}
{{- $root := .root }}
{{- $values := .values }}
{{- $drain := include "sweep.drainSeconds" $values | int }}
{{- $annotations := $values.podAnnotations | default dict }}
{{- if include "sweep.asJobs" $values }}
{{- /* The cluster autoscaler would evict the pod, and a Job does not survive that. */}}
{{- $annotations = merge (deepCopy $annotations) (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false") }}
{{- end -}}
metadata:
  labels:
    {{- include "sweep.labels" $root | nindent 4 }}
    app.kubernetes.io/component: worker
    sweep.pool: {{ .pool }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ toYaml .config | sha256sum }}
    {{- with $annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $values.serviceAccountName | default (include "sweep.account" $root) }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if include "sweep.asJobs" $values }}
  restartPolicy: Never
  {{- end }}
  # {{ $drain }} s for running trials, {{ $values.shutdownSeconds }} s for checkpoints and last results, and 30 s of reserve.
  terminationGracePeriodSeconds: {{ add $drain (int $values.shutdownSeconds) 30 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  securityContext: {{- include "sweep.podSecurity" $root | nindent 4 }}
  {{- with $values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "sweep.tolerations" $values }}
  tolerations: {{- . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if not (include "sweep.asJobs" $values) }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- .selector | nindent 10 }}
  {{- end }}
  containers:
    - name: worker
      image: {{ include "sweep.image" (dict "image" $values.image "tag" (printf "%s%s" $root.Chart.AppVersion (ternary "" "-cpu" (gt (int $values.gpus) 0)))) }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [--config, /etc/sweep/worker.yaml]
      env:
        # Stable for the life of the pod: a restarted container hands in the results of the one before.
        - name: SWEEP_WORKER_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        # The folder of decoded images and tuned kernels.
        - { name: XDG_CACHE_HOME, value: /var/cache/sweep }
        {{- with $values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.envFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - { name: http, containerPort: 9465, protocol: TCP }
      # The worker starts a first trainer before it serves this port.
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 2
        failureThreshold: 90
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 20
        timeoutSeconds: 10
        failureThreshold: 6
      lifecycle:
        # Stops new trials and lets running ones end, for this many seconds. Kubernetes then sends SIGTERM: trainers write
        # checkpoints, and unfinished trials return to the queue.
        preStop: { exec: { command: [/usr/local/bin/sweep-drain, "{{ $drain }}"] } }
      {{- $resources := deepCopy $values.resources }}
      {{- if gt (int $values.gpus) 0 }}
      {{- $_ := set $resources "limits" (mustMergeOverwrite (dict) ($resources.limits | default dict) (dict $values.gpuResource ($values.gpus | int | toString))) }}
      {{- end }}
      resources: {{- toYaml $resources | nindent 8 }}
      securityContext: {{- include "sweep.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - { name: config, mountPath: /etc/sweep/worker.yaml, subPath: worker.yaml, readOnly: true }
        - { name: token, mountPath: /etc/sweep/token, readOnly: true }
        {{- if $root.Values.tls.enabled }}
        - { name: ca, mountPath: /etc/sweep/ca, readOnly: true }
        {{- if $root.Values.tls.workerSecret }}
        - { name: tls, mountPath: /etc/sweep/tls, readOnly: true }
        {{- end }}
        {{- end }}
        - { name: data, mountPath: /data, readOnly: true }
        - { name: cache, mountPath: /var/cache/sweep }
        - { name: state, mountPath: /var/lib/sweep }
        - { name: shm, mountPath: /dev/shm }
        - { name: tmp, mountPath: /tmp }
        {{- with $values.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ .name }} }
    # A worker gets only its own token.
    - name: token
      secret:
        secretName: {{ include "sweep.tokens" $root }}
        defaultMode: 0440
        items: [{ key: worker, path: worker }]
    {{- if $root.Values.tls.enabled }}
    - name: ca
      secret:
        secretName: {{ $root.Values.tls.secret }}
        defaultMode: 0440
        items: [{ key: ca.crt, path: ca.crt }]
    {{- if $root.Values.tls.workerSecret }}
    - name: tls
      secret:
        secretName: {{ $root.Values.tls.workerSecret }}
        defaultMode: 0440
        items: [{ key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }]
    {{- end }}
    {{- end }}
    - name: data
      {{- toYaml $values.data | nindent 6 }}
    - name: cache
      {{- toYaml $values.cache | nindent 6 }}
    - name: state
      {{- toYaml $values.state | nindent 6 }}
    - name: shm
      emptyDir: { medium: Memory, sizeLimit: {{ $values.sharedMemory }} }
    - name: tmp
      emptyDir: { sizeLimit: 1Gi }
    {{- with $values.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
